"""Reads a config: every name, type, range and choice, and the fields that depend on each other."""

import pathlib
import typing
from collections.abc import Mapping
from typing import Any

from nucseg_jax.config.whole import Config, config_fields
from nucseg_jax.core.config_field import Fault, read_section
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.core.strict_json import read_json

# Of a config file, for messages.
_EXAMPLE = "configs/base.py"


def read_config(values: Mapping[str, object]) -> Config:
    """Checks names, types, ranges and choices of every field, and the fields that depend on each other.

    Args:
      values: a mapping of sections, such as a ConfigDict or a run's config.json. A field that was added later and is
        missing has its default.

    Raises:
      UserError: lists every missing, unknown, wrongly typed and disallowed field; or else the first fields that
        contradict each other.
    """
    if not hasattr(values, "items"):
        raise UserError(f"the config is {values!r}"[:200], expected=f"sections of fields, as in {_EXAMPLE}")
    sections = typing.get_type_hints(Config)
    faults = [
        Fault(f"unknown section {name!r}{did_you_mean(str(name), sections)}", ", ".join(sections))
        for name in values
        if name not in sections
    ]
    read: dict[str, Any] = {}
    for name, section in sections.items():
        read[name], found = read_section(name, section, values.get(name), config_fields())
        faults += found
    if len(faults) == 1:
        raise UserError(faults[0].found, expected=faults[0].expected)
    if faults:
        raise UserError(
            "; ".join(f"{fault.found} (expected: {fault.expected})" for fault in faults),
            expected=f"the fields of {_EXAMPLE}, with the values that docs/config.md allows",
        )
    config = Config(**read)
    _require_fields_together(config)
    return config


def read_config_file(path: pathlib.Path) -> Config:
    """Reads the config.json of a run.

    Raises:
      UserError: the file is missing, is no JSON or no config; see `read_config`.
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
    sections = typing.get_type_hints(Config)
    if not isinstance(values, Mapping) or len(sections.keys() & values.keys()) < len(sections) / 2:
        raise UserError(
            f"{path} is no config: most of the sections {', '.join(sections)} are missing",
            expected="the config.json of a run",
        )
    try:
        return read_config(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _require_fields_together(config: Config) -> None:
    """Raises UserError for fields that do not go with each other."""
    loss, split, pretrained = config.loss, config.split, config.pretrained
    weights = loss.weights(config.model)
    if not any(weights.values()):
        terms = [item.name for item in config_fields().values() if item.loss_term in weights]
        raise UserError("every weight of a loss is 0", expected=f"at least one of {', '.join(terms)} above 0")
    if not loss.tversky_alpha + loss.tversky_beta > 0:
        raise UserError("loss.tversky_alpha and loss.tversky_beta are both 0", expected="one above 0")
    if loss.skip_empty and loss.reduce != "image":
        raise UserError(
            f"loss.skip_empty is True and loss.reduce is {loss.reduce!r}",
            expected="loss.reduce='image': the ratio of a whole batch has no tile to skip",
        )
    if split.protocol == "table" and not (split.table and split.column):
        raise UserError(
            "split.protocol is table, but split.table or split.column is empty",
            expected="a CSV file with the columns image and split.column",
            advice="add --config.split.table=FILE --config.split.column=NAME",
        )
    if pretrained.path and pretrained.run:
        raise UserError(
            "pretrained.path and pretrained.run are both given",
            expected="one of them: weights of an encoder, or a trained run with its whole model",
            advice="leave one out, or empty it: --config.pretrained.path=",
        )
    if config.eval.estimate_on == "scored" and not config.eval.reestimate_batch_norm:
        raise UserError(
            "eval.estimate_on is scored, and eval.reestimate_batch_norm is off, so that nothing is estimated",
            expected="both, or neither",
            advice="add --config.eval.reestimate_batch_norm=True",
        )
    if config.augment.set_beside_preset:
        names = ", ".join(f"augment.{name}" for name in config.augment.set_beside_preset)
        raise UserError(
            f"augment.preset is {config.augment.preset}, and {names} are given as well",
            expected="a preset alone, or augment.preset=own with the other fields",
            advice="leave them at their defaults, or copy the preset from nucseg_jax/config/augment.py and change it",
        )
    train, patch_px = config.train, config.data.patch_px
    if train.crops == "random" and train.tile_px >= patch_px:
        raise UserError(
            f"train.crops is random, and tiles of {train.tile_px} px fill patches of {patch_px} px",
            expected="train.tile_px smaller than a patch, or train.crops=grid",
            advice=f"add --config.train.tile_px={max(patch_px // 2, 32)}",
        )
    _require_optimizer_fields_together(config)


def _require_optimizer_fields_together(config: Config) -> None:
    """Raises UserError for fields of optimizer, schedule and freezing that do not go with each other."""
    train, transfer, l2 = config.train, config.transfer, config.loss.l2
    if train.optimizer == "adamw" and l2:
        raise UserError(
            f"loss.l2 is {l2:g} and train.optimizer is adamw",
            expected="loss.l2=0: AdamW decays weights by itself, and Adam would rescale the gradient of L2",
            advice="add --config.loss.l2=0 --config.train.weight_decay=NUMBER",
        )
    if train.optimizer == "paper" and train.weight_decay:
        raise UserError(
            f"train.weight_decay is {train.weight_decay:g} and train.optimizer is paper, whose L2 is loss.l2",
            expected="train.weight_decay=0, or train.optimizer=adamw",
        )
    if train.schedule == "plateau" and train.warmup_epochs:
        raise UserError(
            f"train.warmup_epochs is {train.warmup_epochs:g} and train.schedule is plateau, which has no warm-up",
            expected="train.warmup_epochs=0, or train.schedule=cosine",
        )
    for name, epochs in (
        ("train.warmup_epochs", train.warmup_epochs),
        ("transfer.unfreeze_after_epochs", transfer.unfreeze_after_epochs),
    ):
        if epochs and epochs >= train.epochs:
            raise UserError(f"{name} is {epochs:g}", expected=f"less than train.epochs, {train.epochs}")
    if transfer.unfreeze_after_epochs and transfer.freeze_through == "all":
        raise UserError(
            "transfer.freeze_through is all, and transfer.unfreeze_after_epochs is not 0",
            expected="one of them: an encoder that is frozen for good, or for the first epochs",
        )
