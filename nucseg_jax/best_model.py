"""The best model of a run folder, and what was fitted when its training ended: a rule, a temperature, a stain."""

import math
import sys

from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.experiment import Experiment
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.stored_rule import rule_from_json
from nucseg_jax.models.temperature import with_temperature
from nucseg_jax.ops.stain_normalization.stored_target import target_from_json
from nucseg_jax.ops.stain_normalization.target import StainTarget
from nucseg_jax.run_folder.check import best_checkpoint, require_config
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.training.checkpoint import abstract_like, restore_checkpoint


def rule_of(folder: RunFolder, experiment: Experiment) -> NucleusRule:
    """Returns what counts as a nucleus to a run: as it was tuned, or the default where it was not.

    Raises:
      UserError: the stored rule is damaged, or was altered since the run ended.
    """
    stored = folder.read_fitted(folder.nucleus_rule)
    if stored is None:
        return experiment.default_rule
    try:
        return rule_from_json(stored["rule"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{folder.nucleus_rule} is damaged: {reason_of(error)}", expected="the file that train wrote"
        ) from None


def scored_variables(experiment: Experiment, folder: RunFolder, mesh: Mesh) -> tuple[int, Variables]:
    """Step and variables that scores and predictions are made with: the best ones, calibrated with eval.calibrate.

    Args:
      experiment: of the run, with the settings of evaluation that were asked for.
      folder: the run.
      mesh: where the variables go.

    Raises:
      UserError: as `best_variables`; or a temperature is asked for, and the run has none or a damaged one.
    """
    step, variables = best_variables(experiment, folder, mesh)
    if experiment.config.eval.calibrate:
        variables = with_temperature(variables, temperature_of(folder), experiment.model.map_channels)
    return step, variables


def temperature_of(folder: RunFolder) -> float:
    """Returns the temperature that was fitted when training ended.

    Raises:
      UserError: there is none, or it is damaged, or was altered since the run ended.
    """
    stored = folder.read_fitted(folder.temperature)
    if stored is None:
        raise UserError(
            f"{folder.path} has no temperature: eval.calibrate is on, and it was not when this training ended, or the"
            " training has not ended",
            expected=f"a finished run with {folder.temperature.name}",
            advice="score with --config.eval.calibrate=False, or train with --config.eval.calibrate=True",
        )
    try:
        value = float(stored["temperature"])
        if not 0 < value < math.inf:
            raise ValueError(f"the temperature is {value}")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder.temperature} is damaged: {reason_of(error)}", expected="the file that train wrote"
        ) from None
    return value


def stain_of(folder: RunFolder, experiment: Experiment) -> StainTarget | None:
    """Returns what a run's images are normalised to, as it was measured when the run began; None without.

    Args:
      folder: of the run.
      experiment: with the run's own config.

    Raises:
      UserError: the stored target is missing or damaged, or was altered since the run began.
    """
    method = experiment.config.eval.stain_normalization
    if method == "none":
        return None
    stored = folder.read_stain()
    if stored is None:
        raise UserError(
            f"{folder.stain} is missing, and the run's eval.stain_normalization is {method}",
            expected="the file that train wrote",
            advice="restore it from a copy",
        )
    target = target_from_json(stored)
    if target.method != method:
        raise UserError(
            f"{folder.stain} is of {target.method}, and the run's eval.stain_normalization is {method}",
            expected="the file that train wrote",
            advice="restore it from a copy",
        )
    return target


def best_variables(experiment: Experiment, folder: RunFolder, mesh: Mesh) -> tuple[int, Variables]:
    """Step and variables of a run's best checkpoint: those that it was validated with, averages where it has them.

    What is altered and changes nothing is named on standard error.

    Args:
      experiment: of the run, with its own model.
      folder: the run.
      mesh: where the variables go.

    Raises:
      UserError: there is none yet, the best is gone or damaged, or config.json or split.json are not those it was
        trained with.
    """
    require_config(folder)
    folder.read_splits()
    best, notes = best_checkpoint(folder)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    like = experiment.abstract_state(experiment.static_arguments(steps_per_epoch=1))
    state, _ = restore_checkpoint(best.path, abstract_like(like, mesh))
    return best.record.step, state.evaluated_variables
