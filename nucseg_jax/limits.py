"""Choices and ranges of a config's fields."""

import math

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.sources.settings import KINDS, REMAINDERS
from nucseg_jax.data.splits import PROTOCOLS
from nucseg_jax.evaluation.evaluator import COMPARISONS
from nucseg_jax.settings import Settings
from nucseg_jax.training.device_feed import STORES
from nucseg_jax.training.feed import FEEDS
from nucseg_jax.training.optimizer import L2_SCOPES

DTYPES = ("float32", "bfloat16")
LOSS_REDUCTIONS = ("image", "batch")
# Every output stride divides it.
TILE_UNIT_PX = 32


def check_limits(settings: Settings) -> None:
    """Checks names and numbers that no part of an experiment would check by itself.

    Raises:
      UserError: the first field that is not one of its choices or out of its range.
    """
    split, loss, train, evaluation = settings.split, settings.loss, settings.train, settings.eval
    for field, value, choices in (
        ("data.source", settings.data.source, KINDS),
        ("data.remainder", settings.data.remainder, REMAINDERS),
        ("split.protocol", split.protocol, PROTOCOLS),
        ("loss.l2_scope", loss.l2_scope, L2_SCOPES),
        ("loss.reduce", loss.reduce, LOSS_REDUCTIONS),
        ("train.dtype", train.dtype, DTYPES),
        ("train.feed", train.feed, FEEDS),
        ("train.store", train.store, STORES),
        ("eval.compare_statistics", evaluation.compare_statistics, COMPARISONS),
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
        ("train.steps_per_dispatch", train.steps_per_dispatch, 0),
        ("train.plateau_patience_epochs", train.plateau_patience_epochs, 1),
        ("train.lr", train.lr, 0),
        ("train.plateau_min_delta", train.plateau_min_delta, 0),
        ("transfer.encoder_lr_factor", settings.transfer.encoder_lr_factor, 0),
        ("eval.batch_size", evaluation.batch_size, 1),
        ("eval.overlays", evaluation.overlays, 0),
        ("mesh.data", settings.mesh.data, 0),
        ("mesh.fsdp", settings.mesh.fsdp, 1),
        ("mesh.space", settings.mesh.space, 1),
        ("split.number", split.number, 1),
        ("split.folds", split.folds, 0),
        ("split.seed", split.seed, 0),
        ("split.max_patches", split.max_patches, 0),
        ("loss.l2", loss.l2, 0),
        ("loss.dice", loss.dice, 0),
        ("loss.plain_dice", loss.plain_dice, 0),
        ("loss.cross_entropy", loss.cross_entropy, 0),
        ("loss.focal", loss.focal, 0),
        ("loss.tversky", loss.tversky, 0),
        ("loss.tversky_alpha", loss.tversky_alpha, 0),
        ("loss.tversky_beta", loss.tversky_beta, 0),
        ("data.synthetic_patches_per_fold", settings.data.synthetic_patches_per_fold, 5),
        ("data.synthetic_seed", settings.data.synthetic_seed, 0),
    ):
        if not number >= least:
            raise UserError(f"{field} is {number}", expected=f"at least {least}")
    if train.tile_px < 1 or train.tile_px % TILE_UNIT_PX:
        raise UserError(
            f"train.tile_px is {train.tile_px}",
            expected=f"a multiple of {TILE_UNIT_PX} that divides the side of the data set's patches",
        )
    for section, values in settings.as_json().items():
        for field, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(f"{section}.{field} is {value}", expected="a finite number")
    if max(train.seed, split.seed, settings.data.synthetic_seed) >= 2**32:
        raise UserError("a seed is 2^32 or more", expected="seeds below 2^32")
    if not 0 <= train.plateau_min_scale <= 1:
        raise UserError(f"train.plateau_min_scale is {train.plateau_min_scale}", expected="a factor 0..1")
    if not any((loss.dice, loss.plain_dice, loss.cross_entropy, loss.focal, loss.tversky)):
        raise UserError(
            "every weight of a loss is 0",
            expected="one at least of loss.dice, plain_dice, cross_entropy, focal, tversky above 0",
        )
    if not (loss.focal_gamma == 0 or loss.focal_gamma >= 1):
        raise UserError(f"loss.focal_gamma is {loss.focal_gamma}", expected="0, or 1 and more")
    if not loss.tversky_alpha + loss.tversky_beta > 0:
        raise UserError("loss.tversky_alpha and loss.tversky_beta are both 0", expected="one above 0")
    if loss.skip_empty and loss.reduce != "image":
        raise UserError(
            f"loss.skip_empty is True and loss.reduce is {loss.reduce!r}",
            expected="loss.reduce='image': the ratio of a whole batch has no tile to skip",
        )
    augment = settings.augment
    for field, number, most in (
        ("loss.focal_alpha", loss.focal_alpha, 1),
        ("augment.brightness", augment.brightness, 1),
        ("augment.contrast", augment.contrast, 1),
        ("augment.saturation", augment.saturation, 1),
        ("augment.hue", augment.hue, 0.5),
        ("augment.stain_factor", augment.stain_factor, 1),
        ("augment.stain_offset", augment.stain_offset, 1),
        ("augment.blur_sigma_px", augment.blur_sigma_px, 5),
        ("augment.noise_sd", augment.noise_sd, 255),
    ):
        if not 0 <= number <= most:
            raise UserError(f"{field} is {number}", expected=f"0 to {most}")
    if split.protocol == "table" and not (split.table and split.column):
        raise UserError(
            "split.protocol is table, but split.table or split.column is empty",
            expected="a CSV file with the columns image and split.column",
            advice="add --config.split.table=FILE --config.split.column=NAME",
        )
    if settings.pretrained.path and settings.pretrained.run:
        raise UserError(
            "pretrained.path and pretrained.run are both given",
            expected="one of them: weights of an encoder, or a trained run with its whole model",
            advice="leave one out, or empty it: --config.pretrained.path=",
        )
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


def check_patches(settings: Settings, info: DatasetInfo) -> None:
    """Checks that a data set's patches are those of a config, and can be cut into the tiles that it trains on.

    Raises:
      UserError: they are not; or they cannot, and it lists the sizes that fit.
    """
    for field, value, stored in (
        ("patch_px", settings.data.patch_px, info.patch_px),
        ("microns_per_px", settings.data.microns_per_px, info.microns_per_px),
    ):
        if value != stored:
            raise UserError(
                f"data.{field} is {value}, and the data set {info.name!r} was prepared with {stored}",
                expected="the data set that the config describes",
                advice=f"set --config.data.{field}={stored}, or prepare again into another --config.data.dir",
            )
    patch_px, tile_px = info.patch_px, settings.train.tile_px
    if patch_px % tile_px == 0:
        return
    fitting = [px for px in range(TILE_UNIT_PX, patch_px + 1, TILE_UNIT_PX) if patch_px % px == 0]
    if fitting:
        raise UserError(
            f"train.tile_px is {tile_px}, and the patches of the data set {info.name!r} are {patch_px} px",
            expected="one of " + ", ".join(map(str, fitting)),
            advice=f"set --config.train.tile_px={fitting[-1]}",
        )
    below = patch_px // TILE_UNIT_PX * TILE_UNIT_PX
    raise UserError(
        f"the patches of the data set {info.name!r} are {patch_px} px, which no train.tile_px divides",
        expected=f"patches of a multiple of {TILE_UNIT_PX} px, such as"
        f" {' or '.join(str(px) for px in (below, below + TILE_UNIT_PX) if px)}",
        advice="prepare the data set again with another --config.data.patch_px, into another --config.data.dir",
    )


def check_whole_patches(settings: Settings, info: DatasetInfo) -> None:
    """Checks that a config's model can be given a data set's patches as they are.

    Raises:
      UserError: it cannot.
    """
    stride = settings.model.output_stride
    if info.patch_px % stride:
        raise UserError(
            f"the patches of the data set {info.name!r} are {info.patch_px} px",
            expected=f"patches of a multiple of {stride} px, the model's output stride",
            advice="prepare the data set again with another --config.data.patch_px, into another --config.data.dir",
        )
