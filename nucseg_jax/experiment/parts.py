"""A config and the parts that it describes."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import assert_never

import jax
import optax
from jax.sharding import Mesh

from nucseg_jax.config import Config
from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.paths import table_path, user_path
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.prepared import DataPlan, plan_data
from nucseg_jax.data.split_protocols import authors_splits, k_fold_splits, table_splits
from nucseg_jax.data.split_sides import require_patches_alone
from nucseg_jax.data.splits import SPLIT_NAMES, Splits, paper_splits
from nucseg_jax.evaluation.instances.nucleus_scorer import NucleusScorer
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.parting import PARTINGS
from nucseg_jax.heads.interfaces import Head
from nucseg_jax.heads.table import HEADS
from nucseg_jax.models.initial import abstract_variables, initial_variables
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.ops.objective import Objective
from nucseg_jax.pretrained.load import Loaded, load_encoder
from nucseg_jax.runtime.mesh import check_rows, make_mesh
from nucseg_jax.training.cosine_schedule import cosine_schedule
from nucseg_jax.training.loss_terms import make_objective
from nucseg_jax.training.state import TrainState, init_state
from nucseg_jax.training.step import StaticArguments


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
        """Returns the static arguments of the training step; `has_void` is the data set's."""
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

    @property
    def evaluation_objective(self) -> Objective:
        """The objective of each image by itself, so that it depends on no batch; with eq. 4's Dice always."""
        return make_objective(self.config.loss, self.config.model, reduce="image", always=("dice_loss",))
