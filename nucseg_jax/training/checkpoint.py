"""Checkpoints by Orbax: the newest to go on from, the best to test with.

Each holds the item `state` (TrainState) and the item `record` (JSON: the run's config and split digest, and the
checksums of the state). Saving is asynchronous; Orbax writes under a temporary name and renames, so that a
checkpoint is there whole or not at all. What happens to its files later is found out when it is read.
"""

import contextlib
import json
import pathlib
import time
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh
from orbax.checkpoint import checkpoint_managers

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.training.checksum import checksums
from nucseg_jax.training.mesh import state_sharded
from nucseg_jax.training.state import TrainState, with_sums_unknown, without_sums_with_nuclei

NEWEST_KEPT = 2
SCORE = "score"
CHECKSUMS = "checksums"


class DamagedCheckpointError(UserError):
    """A checkpoint that is there cannot be read, or holds other values than were saved."""

    def __init__(self, path: pathlib.Path, reason: str):
        super().__init__(
            f"the checkpoint {path} is damaged: {reason}",
            advice="restore that folder from a copy; or, if it is the newest, move it away and give the same command"
            " again: it goes on from the checkpoint before",
        )
        self.path = path
        self.reason = reason


def open_checkpoints(folder: pathlib.Path, *, read_only: bool = False) -> ocp.CheckpointManager:
    """Opens (and makes) a folder of checkpoints; the last two and the best by score are kept.

    Args:
      folder: where they lie.
      read_only: leave everything as it is, also what a running training has half written.

    Raises:
      DamagedCheckpointError: the score of one cannot be read.
    """
    for path in checkpoint_paths(folder):
        error = damaged_score(path)
        if error is not None:
            raise error

    def score(metrics: dict[str, float]) -> float:
        return metrics[SCORE]

    policy = checkpoint_managers.AnyPreservationPolicy(
        [
            checkpoint_managers.LatestN(NEWEST_KEPT),
            checkpoint_managers.BestN(get_metric_fn=score, n=1, keep_checkpoints_without_metrics=False),
        ]
    )
    return ocp.CheckpointManager(
        folder.absolute(),
        options=ocp.CheckpointManagerOptions(
            # Without best_fn beside the policy Orbax does not write the scores, and a restart forgets the best.
            best_fn=score,
            best_mode="max",
            preservation_policy=policy,
            cleanup_tmp_directories=not read_only,
            create=not read_only,
            read_only=read_only,
        ),
        item_names=("state", "record"),
    )


def save_checkpoint(
    checkpoints: ocp.CheckpointManager, state: TrainState, record: dict[str, Any], score: float | None = None
) -> None:
    """Saves the state under its step, in the background.

    Args:
      checkpoints: from `open_checkpoints`.
      state: what to save; may be donated or deleted as soon as this returns.
      record: JSON values that travel with it.
      score: larger is better; None for a checkpoint between two validations, which cannot become the best.
    """
    step = int(state.step)
    record = {**record, CHECKSUMS: checksums(state)}
    saved = checkpoints.save(
        step,
        args=ocp.args.Composite(state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record)),
        metrics=None if score is None else {SCORE: score},
        force=True,
    )
    # Orbax refuses in silence a step that is not newer than the newest.
    if not saved:
        raise RuntimeError(f"checkpoint of step {step} was not saved; newest is {checkpoints.latest_step()}")


def restore_checkpoint(
    checkpoints: ocp.CheckpointManager, step: int, like: TrainState
) -> tuple[TrainState, dict[str, Any]]:
    """Reads one checkpoint back.

    Args:
      checkpoints: from `open_checkpoints`.
      step: which one, such as `checkpoints.latest_step()` or `checkpoints.best_step()`.
      like: a state of `jax.ShapeDtypeStruct` with shardings.

    Returns:
      The state, placed by those shardings, and its record.

    Raises:
      DamagedCheckpointError: it cannot be read, or not everything that was saved is there.
    """
    path = pathlib.Path(checkpoints.directory) / str(step)
    try:
        state, record = _read(checkpoints, step, like)
    # Orbax, TensorStore, JSON and the file system each raise their own on damaged files.
    except Exception as error:
        # Those of earlier versions have no sums over tiles with nuclei.
        try:
            state, record = _read(checkpoints, step, without_sums_with_nuclei(like))
        except Exception:
            raise DamagedCheckpointError(path, reason_of(error)) from error
    # Checkpoints of earlier versions have none.
    expected = record.pop(CHECKSUMS, None)
    if expected is not None and expected != checksums(state):
        raise DamagedCheckpointError(path, "it holds other values than were saved")
    return with_sums_unknown(state, like), record


def _read(
    checkpoints: ocp.CheckpointManager, step: int, like: TrainState
) -> tuple[TrainState, dict[str, Any]]:
    """Reads state and record, unchecked."""
    wanted = ocp.args.Composite(state=ocp.args.StandardRestore(like), record=ocp.args.JsonRestore())
    restored = checkpoints.restore(step, args=wanted)
    return restored.state, dict(restored.record)


def restore_newest(
    folder: pathlib.Path, like: TrainState, *, set_aside: pathlib.Path
) -> tuple[TrainState, list[DamagedCheckpointError]] | None:
    """Reads the newest checkpoint that is whole; damaged ones that are newer are moved away.

    Args:
      folder: where they lie; not opened by anybody else.
      like: see `restore_checkpoint`.
      set_aside: a folder beside it that damaged checkpoints are moved into, so that training can save these steps
        again; made when it is needed.

    Returns:
      The state, and what was found out on the way to it; None where there is no checkpoint.

    Raises:
      DamagedCheckpointError: none is whole; or the newest is not, and several processes run.
    """
    damaged = [error for error in map(damaged_score, checkpoint_paths(folder)) if error is not None]
    # Of several processes another may have read its part well, and goes on.
    if damaged and jax.process_count() > 1:
        raise damaged[0]
    # With one of these Orbax opens none.
    moved = _move_away(damaged, set_aside)
    unreadable: list[DamagedCheckpointError] = []
    for path in checkpoint_paths(folder):
        try:
            with open_checkpoints(folder, read_only=True) as checkpoints:
                state, _ = restore_checkpoint(checkpoints, int(path.name), like)
        except DamagedCheckpointError as error:
            if jax.process_count() > 1:
                raise
            unreadable.append(error)
            continue
        _move_away(unreadable, set_aside)
        return state, damaged + unreadable
    if damaged or unreadable:
        for found, place in zip(damaged, moved, strict=True):
            place.rename(found.path)
        with contextlib.suppress(OSError):  # It holds others, or was never made.
            set_aside.rmdir()
        raise (damaged + unreadable)[0]
    return None


def _move_away(damaged: list[DamagedCheckpointError], set_aside: pathlib.Path) -> list[pathlib.Path]:
    """Returns where each lies now."""
    places = [set_aside / f"{error.path.name}-{time.time_ns()}" for error in damaged]
    for error, place in zip(damaged, places, strict=True):
        set_aside.mkdir(exist_ok=True)
        error.path.rename(place)
    return places


def checkpoint_paths(folder: pathlib.Path) -> list[pathlib.Path]:
    """The checkpoints in a folder, damaged or not, the newest first; those that are half written have other names."""
    if not folder.is_dir():
        return []
    paths = [entry for entry in folder.iterdir() if entry.is_dir() and entry.name.isdecimal()]
    return sorted(paths, key=lambda path: int(path.name), reverse=True)


def damaged_score(path: pathlib.Path) -> DamagedCheckpointError | None:
    """What is wrong with the score of a checkpoint, which Orbax reads of all as soon as it opens a folder."""
    if not (path / "metrics").is_dir():
        return None
    try:
        float(json.loads((path / "metrics" / "metrics").read_text(encoding="utf-8"))[SCORE])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return DamagedCheckpointError(path, f"its score cannot be read ({reason_of(error)})")
    return None


def best_score(checkpoints: ocp.CheckpointManager) -> float | None:
    """The largest score saved so far, None before the first."""
    best = checkpoints.best_step()
    metrics = None if best is None else checkpoints.metrics(best)
    return None if metrics is None else metrics[SCORE]


def abstract_like(state: TrainState, mesh: Mesh) -> TrainState:
    """`state` (real or from `jax.eval_shape`) as shapes, dtypes and the shardings it has on a mesh."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        state,
        state_sharded(state, mesh),
    )
