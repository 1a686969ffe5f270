"""All that the cells of a run depend on, so that cells of another run or version are never taken for them."""

import dataclasses
import hashlib
import json
import pathlib

import jax
import PIL

from nucseg_jax import __version__
from nucseg_jax.cli.evaluation_folder import WITHOUT_SCORES
from nucseg_jax.core.seal import bytes_digest
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.experiment import Experiment
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.saved_checkpoints import SavedCheckpoint


def identity_of(
    folder: RunFolder, best: SavedCheckpoint, experiment: Experiment, *, views: int
) -> JsonObject:
    """Returns what all cells of a run depend on, but for the data.

    Args:
      folder: of the run.
      best: the checkpoint that is scored.
      experiment: with the settings of evaluation that were asked for.
      views: over which its outputs are averaged.
    """
    record = json.dumps(best.values, sort_keys=True, default=str)
    settings = dataclasses.asdict(experiment.config.eval)
    scored = {name: value for name, value in settings.items() if name not in (*WITHOUT_SCORES, "batch_size")}
    return {
        "checkpoint_step": best.record.step,
        "checkpoint_digest": bytes_digest(record.encode())["sha256"],
        "eval": scored,
        "views": views,
        "nucleus_rule_digest": _digest_of(folder, folder.nucleus_rule),
        "temperature_digest": _digest_of(folder, folder.temperature),
        "nucseg_jax": __version__,
        "source_digest": _source_digest(),
        "jax": jax.__version__,
        "pillow": PIL.__version__,
    }


def _digest_of(folder: RunFolder, fitted: pathlib.Path) -> str:
    stored = folder.read_fitted(fitted)
    return "" if stored is None else bytes_digest(json.dumps(stored, sort_keys=True).encode())["sha256"]


def _source_digest() -> str:
    """Returns the SHA-256 of the package's own code, which also differs by changes that are not committed."""
    package = pathlib.Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
