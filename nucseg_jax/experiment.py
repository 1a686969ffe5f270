"""From a config to checked, ready parts. Nothing below this file knows that configs exist."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias, assert_never

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from nucseg_jax.config import Config, read_config
from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.arrays import Tree, Variables
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import table_path, user_path
from nucseg_jax.core.strict_json import read_json
from nucseg_jax.create import build_model
from nucseg_jax.data.balanced_sampling import training_probability
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.prepared import DataPlan, PreparedData, plan_data
from nucseg_jax.data.sources.check import check_source
from nucseg_jax.data.split_protocols import authors_splits, k_fold_splits, table_splits
from nucseg_jax.data.split_sides import require_patches_alone
from nucseg_jax.data.splits import SPLIT_NAMES, Splits, paper_splits
from nucseg_jax.evaluation.batch_norm import compile_statistics_step
from nucseg_jax.evaluation.evaluator import Evaluator, Reestimation
from nucseg_jax.evaluation.example_predictor import ExamplePredictor
from nucseg_jax.evaluation.instances.nucleus_scorer import NucleusScorer
from nucseg_jax.evaluation.step import compile_evaluation_of_views, compile_evaluation_step
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.parting import PARTINGS
from nucseg_jax.heads.interfaces import Head
from nucseg_jax.heads.table import HEADS
from nucseg_jax.models.frozen_stages import stages_through
from nucseg_jax.models.initial import abstract_variables, initial_variables
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.ops.objective import Objective
from nucseg_jax.ops.stain_normalization.target import StainTarget
from nucseg_jax.ops.symmetries import check_views
from nucseg_jax.pretrained.load import Loaded, load_encoder
from nucseg_jax.runtime.mesh import check_rows, examples_devices, make_mesh
from nucseg_jax.runtime.processes import all_agree
from nucseg_jax.training.adamw import adamw_optimizer
from nucseg_jax.training.cosine_schedule import cosine_schedule
from nucseg_jax.training.device_feed import DevicePatches, device_feed
from nucseg_jax.training.feed import FeedName, TrainingFeed, fits_device, resolved_steps_per_dispatch
from nucseg_jax.training.host_feed import host_feed
from nucseg_jax.training.loss_terms import make_objective
from nucseg_jax.training.optimizer import l2_mask, l2_penalty, paper_optimizer, plateau_schedule
from nucseg_jax.training.schedule import Schedule
from nucseg_jax.training.state import TrainState, init_state
from nucseg_jax.training.step import StaticArguments

# Of the device feed, and of the host feed.
EitherFeed: TypeAlias = TrainingFeed[DevicePatches, jax.Array] | TrainingFeed[tuple[()], Batch[jax.Array]]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config whose every field has been looked at, and the parts that it describes."""

    config: Config
    model: Segmenter
    frozen_stages: tuple[str, ...]
    optimizer: optax.GradientTransformation
    plateau: optax.GradientTransformationExtraArgs

    @property
    def data(self) -> DataConfig:
        """Section `data` of the config."""
        return self.config.data

    @property
    def head(self) -> Head:
        """The model's instance head."""
        return HEADS[self.config.model.head]

    @property
    def scores_instances(self) -> bool:
        """True if nuclei are found and scored, so that patches need their ids."""
        return self.tunes_nuclei or self.config.eval.instances

    @property
    def tunes_nuclei(self) -> bool:
        """True if threshold, depth and smallest size of nuclei are tuned on the validation split when training ends."""
        return bool(self.head.maps) or self.config.eval.tune_nuclei

    @property
    def default_rule(self) -> NucleusRule:
        """The definition of a nucleus before it is tuned.

        Nuclei from maps are kept from 10 px at .25 microns a pixel on, as HoVer-Net does: smaller ones are annotated.
        """
        parting = PARTINGS[self.config.model.head]()
        return NucleusRule(parting=parting, smallest_um2=0.625) if parting.maps else NucleusRule()

    def nucleus_scorer(self, info: DatasetInfo, rule: NucleusRule) -> NucleusScorer | None:
        """Returns what finds and counts nuclei; None where they are not scored."""
        if not self.scores_instances:
            return None
        classes = self.config.model.num_classes
        return NucleusScorer(rule, classes - 1, info.microns_per_px)

    def splits(self, index: PatchIndex, info: DatasetInfo) -> Splits:
        """The three lists of patches of a data set."""
        split = self.config.split
        chosen: dict[str, int] = {"number": split.number, "seed": split.seed}
        match split.protocol:
            case "paper":
                require_patches_alone(index, info, allow_shared_groups=split.allow_shared_groups)
                return paper_splits(index.fold_sizes, seed=split.seed, max_patches=split.max_patches)
            case "k_fold":
                return k_fold_splits(index, info, folds=split.folds, **chosen)
            case "table":
                return table_splits(
                    index,
                    info,
                    table=table_path(split.table),
                    column=split.column,
                    allow_shared_groups=split.allow_shared_groups,
                    **chosen,
                )
            case "official":
                return authors_splits(index, info, allow_shared_groups=split.allow_shared_groups, **chosen)
            case _:
                assert_never(split.protocol)

    def plan(self, used: Sequence[str] = SPLIT_NAMES) -> DataPlan:
        """Opens the prepared data set and splits it; reads no patch.

        Args:
          used: the sides that must not be empty.

        Raises:
          UserError: nothing was prepared, it cannot be split so, its classes are not the model's, or nearly the same
            patch stands on two sides (of what was downloaded from its authors that is known and taken).
        """
        data = self.config.data
        return plan_data(
            data.prepared_folder,
            self.splits,
            num_classes=self.config.model.num_classes,
            used=used,
            allow_duplicates=data.allow_duplicates or data.source == "download",
            with_instances=self.scores_instances,
        )

    def make_mesh(self, patch_px: int) -> Mesh:
        """The device mesh; asks JAX for its devices, and checks batch sizes and rows against them.

        Args:
          patch_px: side of the whole patches that are evaluated.
        """
        shape, train = self.config.mesh, self.config.train
        mesh = make_mesh(
            shape.data,
            shape.fsdp,
            shape.space,
            batch_sizes=(train.batch_size, self.config.eval.batch_size),
        )
        for px in (train.tile_px, patch_px):
            check_rows(px, self.config.model.output_stride, mesh)
        return mesh

    def static_arguments(self, steps_per_epoch: int, *, has_void: bool = False) -> StaticArguments:
        """What the training step is bound to; `has_void` is the data set's."""
        loss, train, augmentation = self.config.loss, self.config.train, self.config.augment.resolved
        return StaticArguments(
            model=self.model,
            objective=make_objective(loss, self.config.model, reduce=loss.reduce),
            optimizer=self.optimizer,
            l2=loss.l2,
            l2_scope=loss.l2_scope,
            frozen_stages=self.frozen_stages,
            augmentation=augmentation,
            seed=train.seed,
            steps_per_epoch=steps_per_epoch,
            head=self.head,
            has_void=has_void or augmentation.deforms,
            lr_factor=self._lr_factor(steps_per_epoch),
            encoder_held_steps=self.config.transfer.unfreeze_after_epochs * steps_per_epoch,
            ema_decay=train.ema_decay,
        )

    def _lr_factor(self, steps_per_epoch: int) -> optax.Schedule | None:
        """Factor on the learning rate at a step; None where the plateau schedule has it."""
        train = self.config.train
        if train.schedule == "plateau":
            return None
        return cosine_schedule(
            total_steps=train.epochs * steps_per_epoch,
            warmup_steps=int(train.warmup_epochs * steps_per_epoch),
            final_factor=train.final_lr_factor,
        )

    def choose_feed(self, plan: DataPlan, mesh: Mesh) -> FeedName:
        """The feed that `train.feed` names, or for 'auto' the one that memory allows."""
        asked = self.config.train.feed
        if asked != "auto":
            return asked
        devices = list(mesh.local_devices)
        size = len(plan.splits.train) * plan.bytes_per_patch
        on_each = size // examples_devices(mesh) if self.config.train.store == "sharded" else size
        # On CPU the devices' memory is the host's.
        on_host = on_each * len(devices) if devices[0].platform == "cpu" else 0
        fits = fits_device(on_each, devices) and plan.fits_in_memory(also_bytes=on_host)
        return "device" if all_agree(fits) else "host"

    def training_feed(self, data: PreparedData, mesh: Mesh, schedule: Schedule) -> EitherFeed:
        """What the training step gets its batches from; the device feed moves the patches to the mesh.

        `train.feed = 'auto'` means device for patches in memory, and host for patches on disk: whoever calls
        reads or opens the plan as `choose_feed` says.
        """
        train = self.config.train
        steps_per_dispatch = resolved_steps_per_dispatch(train.steps_per_dispatch, mesh)
        is_on_device = train.feed == "device" or (train.feed == "auto" and isinstance(data.patches, Patches))
        make = functools.partial(device_feed, store=train.store) if is_on_device else host_feed
        return make(
            data.patches,
            data.rows("train"),
            patch_px=data.info.patch_px,
            tile_px=train.tile_px,
            batch_size=train.batch_size,
            seed=train.seed,
            schedule=schedule,
            steps_per_dispatch=steps_per_dispatch,
            mesh=mesh,
            probability=self._patch_probability(data),
            crops=train.crops,
        )

    def _patch_probability(self, data: PreparedData) -> np.ndarray | None:
        """The probability of each training patch where they are drawn with replacement, else None."""
        settings = self.config.data
        if settings.sampling == "uniform":
            return None
        return training_probability(
            data.patches, data.rows("train"), data.info, gamma=settings.sampling_gamma
        )

    def init_state(self, static: StaticArguments) -> TrainState:
        """The state before the first step, on the host; compiles nothing."""
        return self._state_around(static, initial_variables(self.model, self.config.train.seed))

    def abstract_state(self, static: StaticArguments) -> TrainState:
        """The state's shapes and dtypes; computes nothing."""
        state: TrainState = jax.eval_shape(
            functools.partial(self._state_around, static), abstract_variables(self.model)
        )
        return state

    def _state_around(self, static: StaticArguments, variables: Variables) -> TrainState:
        return init_state(
            variables,
            self.optimizer,
            self.plateau,
            term_names=static.summed_names,
            counted_classes=self.config.model.num_classes,
            with_ema=static.ema_decay > 0,
        )

    def pretrained_encoder(self) -> Loaded | None:
        """The encoder's weights of `pretrained.path`; None from scratch.

        Raises:
          UserError: the folder is no conversion of this encoder, or damaged.
        """
        path = self.config.pretrained.path
        if not path:
            return None
        encoder = self.model.encoder
        return load_encoder(user_path(path), self.config.model.encoder, encoder)

    def evaluator(
        self, mesh: Mesh, *, has_void: bool = False, views: int = 1, stain: StainTarget | None = None
    ) -> Evaluator:
        """Returns what scores the model; reuse it, it caches compiled functions.

        Args:
          mesh: where it runs.
          has_void: of the data set that is scored.
          views: 1, or 8 = the mean over the symmetries of each patch is scored, see `models.views`.
          stain: what images are normalised to, by the method of `eval.stain_normalization`; None for 'none'.

        Raises:
          UserError: another number of views.
          ValueError: a target of another method than the config's.
        """
        check_views(views)
        method = "none" if stain is None else stain.method
        if method != self.config.eval.stain_normalization:
            raise ValueError(
                f"eval.stain_normalization is {self.config.eval.stain_normalization!r}, and the target's method is"
                f" {method!r}"
            )
        compile_step = compile_evaluation_step if views == 1 else compile_evaluation_of_views
        loss, train, evaluation = self.config.loss, self.config.train, self.config.eval
        without_dropout = self.model.without_dropout()

        @jax.jit
        def penalty(params: Tree) -> jax.Array:
            return l2_penalty(params, l2_mask(params, loss.l2_scope, self.frozen_stages), loss.l2)

        objective = self.evaluation_objective
        return Evaluator(
            step=compile_step(self.model, objective, mesh, head=self.head, has_void=has_void, stain=stain),
            batch_statistics_step=compile_step(
                without_dropout,
                objective,
                mesh,
                head=self.head,
                batch_statistics=True,
                has_void=has_void,
                stain=stain,
            ),
            objective=objective,
            l2_penalty=penalty,
            batch_size=evaluation.batch_size,
            mesh=mesh,
            reestimation=Reestimation(
                compile_statistics_step(
                    without_dropout,
                    mesh,
                    momentum=self.config.model.batch_norm_momentum,
                    unbiased_variance=self.config.model.batch_norm_unbiased_variance,
                    frozen_stages=without_dropout.encoder.frozen_statistics,
                    # Training tiles are never normalised.
                    stain=stain if evaluation.estimate_on == "scored" else None,
                ),
                unbiased_variance=self.config.model.batch_norm_unbiased_variance,
                on=evaluation.estimate_on,
                tile_px=train.tile_px,
                batch_size=train.batch_size,
                seed=train.seed,
            ),
            reestimates=evaluation.reestimate_batch_norm,
            compares=evaluation.compare_statistics,
            stain=stain,
        )

    def example_predictor(self, evaluator: Evaluator) -> ExamplePredictor | None:
        """Returns what predicts the patches to be drawn, with the evaluator's programs; None without pictures."""
        count = self.config.eval.overlays
        if not count:
            return None
        return ExamplePredictor(evaluator.step, count, batch_size=evaluator.batch_size, mesh=evaluator.mesh)

    @property
    def evaluation_objective(self) -> Objective:
        """The objective of each image by itself, so that it depends on no batch; with eq. 4's Dice always."""
        return make_objective(self.config.loss, self.config.model, reduce="image", always=("dice_loss",))


def read_experiment(values: Mapping[str, object]) -> Experiment:
    """Checks a config and builds its parts; takes no device and reads no file.

    Args:
      values: a ConfigDict, or the dict of a run's config.json.

    Raises:
      UserError: a field that is missing, unknown, of the wrong type, or out of range.
    """
    config = read_config(values)
    check_source(config.data)
    train, transfer = config.train, config.transfer
    model = build_model(config.model, train.dtype)
    frozen_stages = stages_through(model.encoder.stages, transfer.freeze_through)
    if transfer.freeze_batch_norm:
        model = model.clone(encoder=model.encoder.clone(frozen_statistics=frozen_stages))
    return Experiment(
        config=config,
        model=model,
        frozen_stages=frozen_stages,
        optimizer=_make_optimizer(config, frozen_stages),
        plateau=plateau_schedule(
            factor=train.plateau_factor,
            patience_epochs=train.plateau_patience_epochs,
            min_delta=train.plateau_min_delta,
            min_scale=train.plateau_min_scale,
        ),
    )


def _make_optimizer(config: Config, frozen_stages: tuple[str, ...]) -> optax.GradientTransformation:
    loss, train = config.loss, config.train
    match train.optimizer:
        case "paper":
            make = functools.partial(paper_optimizer, l2=loss.l2, l2_scope=loss.l2_scope)
        case "adamw":
            make = functools.partial(adamw_optimizer, weight_decay=train.weight_decay)
        case _:
            assert_never(train.optimizer)
    return make(
        lr=train.lr,
        encoder_lr_factor=config.transfer.encoder_lr_factor,
        frozen_stages=frozen_stages,
        b1=train.adam_b1,
        b2=train.adam_b2,
        epsilon=train.adam_epsilon,
    )


def read_experiment_file(path: pathlib.Path) -> Experiment:
    """The experiment of a run's config.json.

    Raises:
      UserError: the file is missing or is no config.
    """
    try:
        values = read_json(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}",
            expected="the config.json of a run folder",
            advice="give the --workdir of a training run",
        ) from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}", expected="the config.json of a run") from None
    return read_experiment(values)
