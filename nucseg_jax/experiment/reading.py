"""From a config to an `Experiment`."""

import functools
import pathlib
from collections.abc import Mapping
from typing import assert_never

import optax

from nucseg_jax.config import Config, read_config, read_config_file
from nucseg_jax.create import build_model
from nucseg_jax.data.sources.check import check_source
from nucseg_jax.experiment.parts import Experiment
from nucseg_jax.models.frozen_stages import stages_through
from nucseg_jax.training.adamw import adamw_optimizer
from nucseg_jax.training.optimizer import paper_optimizer, plateau_schedule


def read_experiment(values: Mapping[str, object]) -> Experiment:
    """Checks a config and builds its parts; takes no device and reads no file.

    Args:
      values: a ConfigDict, or the dict of a run's config.json.

    Raises:
      UserError: a field that is missing, unknown, of the wrong type, or out of range.
    """
    return build_experiment(read_config(values))


def read_experiment_file(path: pathlib.Path) -> Experiment:
    """The experiment of a run's config.json.

    Raises:
      UserError: the file is missing or is no config.
    """
    return build_experiment(read_config_file(path))


def build_experiment(config: Config) -> Experiment:
    """Builds the parts of a config that was read; takes no device and reads no file.

    Raises:
      UserError: a field of one part that another does not allow.
    """
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
