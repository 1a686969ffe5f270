"""The target of stain normalisation of a run: stored with it, or measured on its training patches."""

from collections.abc import Callable

import numpy as np

from nucseg_jax.best_model import stain_of
from nucseg_jax.core.files import write_json
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.evaluation.stain_target import training_target
from nucseg_jax.experiment import Experiment
from nucseg_jax.ops.stain_normalization.stored_target import target_to_json
from nucseg_jax.ops.stain_normalization.target import StainTarget
from nucseg_jax.run_folder.folder import RunFolder

_BAR = "measuring stains"


def target_of_training(experiment: Experiment, folder: RunFolder, data: PreparedData) -> StainTarget | None:
    """Returns the target that a run is validated with: of its first start, which measures it and writes stain.json.

    Raises:
      UserError: no training patch has stains; or stain.json is damaged, or was altered since.
    """
    if folder.newest_record() is not None:
        return stain_of(folder, experiment)
    method = experiment.config.eval.stain_normalization
    target = training_target(method, data.patches, data.rows("train"), bar=_BAR)
    if target is not None:
        write_json(folder.stain, target_to_json(target))
    return target


def needs_training_patches(trained: Experiment, asked: Experiment) -> bool:
    """Returns True if the requested normalisation is another than the run's own, so that its target is not stored."""
    method = asked.config.eval.stain_normalization
    return method not in ("none", trained.config.eval.stain_normalization)


def target_of_scores(
    trained: Experiment,
    asked: Experiment,
    folder: RunFolder,
    read_training: Callable[[], tuple[PreparedData, np.ndarray]],
) -> StainTarget | None:
    """Returns the target for scores of a finished run.

    Args:
      trained: the run's own config.
      asked: has the requested normalisation.
      folder: of the run.
      read_training: gives data and the rows that the run was trained on; not called without `needs_training_patches`.

    Raises:
      UserError: no training patch has stains; or stain.json is damaged, or was altered since.
    """
    method = asked.config.eval.stain_normalization
    if needs_training_patches(trained, asked):
        data, rows = read_training()
        return training_target(method, data.patches, rows, bar=_BAR)
    return None if method == "none" else stain_of(folder, trained)


def stain_text(target: StainTarget | None) -> str:
    """Returns the method of normalisation, to end a printed line with; nothing without one.

    >>> stain_text(None)
    ''
    """
    return "" if target is None else f", {target.method.capitalize()} stain normalisation"
