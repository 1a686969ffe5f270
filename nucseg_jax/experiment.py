"""From a config to checked, ready parts. Nothing below this file knows that configs exist."""

import dataclasses
import functools
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.vocabulary import PATCH_PX
from nucseg_jax.data.pannuke.source import KINDS, DataSource, Kind
from nucseg_jax.data.splits import PROTOCOLS, Splits, official_splits, paper_splits
from nucseg_jax.evaluation.batch_norm import compile_statistics_step
from nucseg_jax.evaluation.evaluate import CountStep, compile_count_step, compile_prediction_step
from nucseg_jax.evaluation.evaluator import Evaluator, Reestimation
from nucseg_jax.evaluation.scorer import Scorer
from nucseg_jax.models.pyramid import OUTPUT_STRIDE
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.models.tables import build_segmenter
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.reporting.predictions import Drawer
from nucseg_jax.settings import Settings, read_settings
from nucseg_jax.training.mesh import check_batch_size, make_mesh
from nucseg_jax.training.optimizer import L2_SCOPES, l2_mask, l2_penalty, paper_optimizer, plateau_schedule
from nucseg_jax.training.state import TrainState, init_state
from nucseg_jax.training.step import Loss, StepRecipe

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
LOSS_REDUCTIONS = ("image", "batch")
TILE_SIZES = tuple(px for px in (32, 64, 128, 256) if PATCH_PX % px == 0 and px % OUTPUT_STRIDE == 0)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config whose every field has been looked at, and the parts that it describes."""

    settings: Settings
    data: DataSource
    model: Segmenter
    optimizer: optax.GradientTransformation
    plateau: optax.GradientTransformationExtraArgs

    def splits(self, fold_sizes: dict[int, int]) -> Splits:
        """The three lists of patches for a data set with these folds."""
        split = self.settings.split
        if split.protocol == "official":
            return official_splits(fold_sizes, number=split.number)
        return paper_splits(fold_sizes, seed=split.seed, max_patches=split.max_patches)

    def make_mesh(self) -> Mesh:
        """The device mesh; asks JAX for its devices, and checks the batch sizes against them."""
        mesh = make_mesh(self.settings.mesh.data)
        check_batch_size("train.batch_size", self.settings.train.batch_size, mesh)
        check_batch_size("eval.batch_size", self.settings.eval.batch_size, mesh)
        return mesh

    def recipe(self, steps_per_epoch: int) -> StepRecipe:
        """What the training step is bound to."""
        loss, train = self.settings.loss, self.settings.train
        return StepRecipe(
            model=self.model,
            losses={"dice_loss": functools.partial(soft_dice, reduce=loss.reduce, smooth=loss.smooth)},
            optimizer=self.optimizer,
            l2=loss.l2,
            l2_scope=loss.l2_scope,
            augment=train.augment,
            seed=train.seed,
            steps_per_epoch=steps_per_epoch,
        )

    def init_state(self, recipe: StepRecipe) -> TrainState:
        """The state before the first step; run it under jit or `jax.eval_shape`."""
        return init_state(
            self.model,
            self.optimizer,
            self.plateau,
            tile_px=self.settings.train.tile_px,
            seed=self.settings.train.seed,
            term_names=recipe.term_names,
            counted_classes=self.settings.model.num_classes,
        )

    def evaluator(self, mesh: Mesh) -> Evaluator:
        """Scores and draws; holds compiled programs, so make one and keep it."""
        train, evaluation = self.settings.train, self.settings.eval
        without_dropout = self.model.clone(decoder=self.model.decoder.clone(dropout=0.0))

        @jax.jit
        def penalty(params: Any) -> jax.Array:
            loss = self.settings.loss
            return l2_penalty(params, l2_mask(params, loss.l2_scope), loss.l2)

        def scorer(count_step: CountStep) -> Scorer:
            return Scorer(count_step, penalty, batch_size=evaluation.batch_size, mesh=mesh)

        return Evaluator(
            scorer=scorer(compile_count_step(self.model, self.evaluation_loss, mesh)),
            batch_scorer=scorer(
                compile_count_step(without_dropout, self.evaluation_loss, mesh, batch_statistics=True)
            )
            if evaluation.batch_statistics
            else None,
            reestimation=Reestimation(
                compile_statistics_step(
                    without_dropout, mesh, momentum=self.settings.model.batch_norm_momentum
                ),
                tile_px=train.tile_px,
                batch_size=train.batch_size,
                seed=train.seed,
            )
            if evaluation.reestimate_batch_norm
            else None,
            drawer=Drawer(
                compile_prediction_step(self.model, mesh),
                patches=evaluation.overlays,
                batch_size=evaluation.batch_size,
                mesh=mesh,
            ),
        )

    @property
    def evaluation_loss(self) -> Loss:
        """Dice loss of each image by itself, so that it depends on no batch."""
        return functools.partial(soft_dice, reduce="image", smooth=self.settings.loss.smooth)


def read_experiment(config: Mapping[str, Any]) -> Experiment:
    """Checks a config and builds its parts; takes no device and reads no file.

    Args:
      config: a ConfigDict, or the dict of a run's config.json.

    Raises:
      UserError: a field that is missing, unknown, of the wrong type, or out of range.
    """
    settings = read_settings(config)
    _check_choices(settings)
    model, loss, train = settings.model, settings.loss, settings.train
    return Experiment(
        settings=settings,
        data=DataSource(
            source=cast(Kind, settings.data.source),
            release_dir=pathlib.Path(settings.data.release_dir).expanduser()
            if settings.data.release_dir
            else None,
            data_dir=pathlib.Path(settings.data.dir).expanduser(),
            synthetic_patches_per_fold=settings.data.synthetic_patches_per_fold,
            synthetic_seed=settings.data.synthetic_seed,
        ),
        model=build_segmenter(
            encoder=model.encoder,
            decoder=model.decoder,
            num_classes=model.num_classes,
            dropout=model.dropout,
            width=model.width,
            encoder_depths=model.encoder_depths,
            momentum=model.batch_norm_momentum,
            dtype=DTYPES[train.dtype],
        ),
        optimizer=paper_optimizer(
            lr=train.lr,
            l2=loss.l2,
            mask=lambda params: l2_mask(params, loss.l2_scope),
            b1=train.adam_b1,
            b2=train.adam_b2,
            epsilon=train.adam_epsilon,
        ),
        plateau=plateau_schedule(
            factor=train.plateau_factor,
            patience_epochs=train.plateau_patience_epochs,
            min_delta=train.plateau_min_delta,
            min_scale=train.plateau_min_scale,
        ),
    )


def read_experiment_file(path: pathlib.Path) -> Experiment:
    """The experiment of a run's config.json.

    Raises:
      UserError: the file is missing or is no config.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}",
            expected="the config.json of a run folder",
            advice="give the --workdir of a training run",
        ) from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}", expected="the config.json of a run") from None
    return read_experiment(config)


def _check_choices(settings: Settings) -> None:
    """Names and numbers that no single part would check."""
    split, loss, train, evaluation = settings.split, settings.loss, settings.train, settings.eval
    for field, value, choices in (
        ("data.source", settings.data.source, KINDS),
        ("split.protocol", split.protocol, PROTOCOLS),
        ("split.number", split.number, (1, 2, 3)),
        ("loss.l2_scope", loss.l2_scope, L2_SCOPES),
        ("loss.reduce", loss.reduce, LOSS_REDUCTIONS),
        ("train.dtype", train.dtype, tuple(DTYPES)),
        ("train.tile_px", train.tile_px, TILE_SIZES),
    ):
        if value not in choices:
            raise UserError(
                f"{field} is {value!r}",
                expected="one of " + ", ".join(map(str, choices)),
                advice=f"set --config.{field}=CHOICE",
            )
    for field, number, least in (
        ("train.epochs", train.epochs, 1),
        ("train.batch_size", train.batch_size, 1),
        ("train.seed", train.seed, 0),
        ("train.log_every_steps", train.log_every_steps, 1),
        ("train.checkpoint_every_steps", train.checkpoint_every_steps, 0),
        ("train.plateau_patience_epochs", train.plateau_patience_epochs, 1),
        ("train.lr", train.lr, 0),
        ("train.plateau_min_delta", train.plateau_min_delta, 0),
        ("eval.batch_size", evaluation.batch_size, 1),
        ("eval.overlays", evaluation.overlays, 0),
        ("split.seed", split.seed, 0),
        ("split.max_patches", split.max_patches, 0),
        ("loss.l2", loss.l2, 0),
        ("data.synthetic_patches_per_fold", settings.data.synthetic_patches_per_fold, 5),
        ("data.synthetic_seed", settings.data.synthetic_seed, 0),
    ):
        if not number >= least:
            raise UserError(f"{field} is {number}", expected=f"at least {least}")
    for section, values in settings.as_json().items():
        for field, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(f"{section}.{field} is {value}", expected="a finite number")
    if max(train.seed, split.seed, settings.data.synthetic_seed) >= 2**32:
        raise UserError("a seed is 2^32 or more", expected="seeds below 2^32")
    if not 0 <= train.plateau_min_scale <= 1:
        raise UserError(f"train.plateau_min_scale is {train.plateau_min_scale}", expected="a factor 0..1")
    if not settings.data.dir:
        raise UserError("data.dir is empty", expected="the folder of the prepared data set")
    for field, number in (
        ("train.plateau_factor", train.plateau_factor),
        ("train.adam_b1", train.adam_b1),
        ("train.adam_b2", train.adam_b2),
    ):
        if not 0 < number < 1:
            raise UserError(f"{field} is {number}", expected="a number between 0 and 1")
    if not (loss.smooth > 0 and train.adam_epsilon > 0 and train.plateau_min_delta > 0):
        raise UserError(
            f"loss.smooth, train.adam_epsilon, train.plateau_min_delta are {loss.smooth},"
            f" {train.adam_epsilon}, {train.plateau_min_delta}",
            expected="positive numbers",
        )
    if settings.pretrained.path:
        raise UserError(
            f"pretrained.path is {settings.pretrained.path!r}; this version cannot load encoder weights yet",
            expected="'' (from scratch)",
        )
