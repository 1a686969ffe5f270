"""Checkpoints by Orbax: the newest to resume from, the best to test with.

Each holds the item `state` (TrainState) and the item `record` (JSON: the run's record, the checksums of the state,
and its own digest). Saving is asynchronous; Orbax writes under a temporary name and renames, so that a checkpoint is
there whole or not at all. What happens to its files later is found out when it is read.
"""

import contextlib
import pathlib
import time

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh
from orbax.checkpoint import checkpoint_managers

from nucseg_jax.core.errors import reason_of
from nucseg_jax.core.seal import sealed
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.run_folder.record import RunRecord
from nucseg_jax.run_folder.saved_checkpoints import (
    CRC32S,
    SCORE,
    WEIGHTED_SUMS,
    DamagedCheckpointError,
    checkpoint_paths,
    damage_without_arrays,
    read_saved,
)
from nucseg_jax.runtime.mesh import state_sharded
from nucseg_jax.training.checksum import crc32s, weighted_sums
from nucseg_jax.training.state import (
    TrainState,
    stored_fields,
    with_sums_unknown,
    without_sums_with_nuclei,
)

NEWEST_KEPT = 2


def open_checkpoints(folder: pathlib.Path) -> ocp.CheckpointManager:
    """Opens (and makes) a folder of checkpoints to save in; the last two and the best by score are kept.

    Raises:
      DamagedCheckpointError: the record or the score of one is damaged, so that the best is unknown.
    """
    for path in checkpoint_paths(folder):
        error = damage_without_arrays(path)
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
            cleanup_tmp_directories=True,
        ),
        item_names=("state", "record"),
    )


def save_checkpoint(
    checkpoints: ocp.CheckpointManager, state: TrainState, record: JsonObject, score: float | None = None
) -> None:
    """Saves the state under its step, in the background.

    Args:
      checkpoints: from `open_checkpoints`.
      state: what to save; may be donated or deleted as soon as this returns.
      record: JSON values that travel with it, see `RunRecord.as_json`; its `scores` are those of earlier steps.
      score: larger is better; None for a checkpoint between two validations, which cannot become the best.
    """
    step = int(state.step)
    scores = {**record.get("scores", {}), **({} if score is None else {str(step): float(score)})}
    values = sealed({**record, "step": step, "scores": scores, CRC32S: crc32s(state)})
    saved = checkpoints.save(
        step,
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(stored_fields(state)), record=ocp.args.JsonSave(values)
        ),
        metrics=None if score is None else {SCORE: score},
        force=True,
    )
    # Orbax refuses in silence a step that is not newer than the newest.
    if not saved:
        raise RuntimeError(f"checkpoint of step {step} was not saved; newest is {checkpoints.latest_step()}")


def restore_checkpoint(path: pathlib.Path, like: TrainState) -> tuple[TrainState, RunRecord]:
    """Reads one checkpoint back; nothing in its folder is written.

    Args:
      path: the folder of a checkpoint, such as one of `checkpoint_paths`.
      like: a state of `jax.ShapeDtypeStruct` with shardings.

    Returns:
      The state, placed by those shardings, and its record.

    Raises:
      DamagedCheckpointError: it cannot be read, or not everything that was saved is there.
    """
    saved = read_saved(path)
    try:
        state = _read_state(path, like)
    # Orbax, TensorStore and the file system each raise their own on damaged files.
    except Exception as error:
        # Those of earlier versions have no sums over tiles with nuclei.
        try:
            state = _read_state(path, without_sums_with_nuclei(like))
        except Exception:
            raise DamagedCheckpointError(path, reason_of(error)) from error
    # The first checkpoints had no checksums.
    for name, compute in ((CRC32S, crc32s), (WEIGHTED_SUMS, weighted_sums)):
        if name in saved.values and saved.values[name] != compute(state):
            raise DamagedCheckpointError(path, "it holds other values than were saved")
    if int(state.step) != int(path.name):
        raise DamagedCheckpointError(path, f"it holds the state of step {int(state.step):,}")
    return with_sums_unknown(state, like), saved.record


def _read_state(path: pathlib.Path, like: TrainState) -> TrainState:
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
        items = ocp.args.Composite(state=ocp.args.StandardRestore(stored_fields(like)))
        return TrainState(**reader.restore(path.absolute(), args=items).state)


def restore_newest(
    folder: pathlib.Path, like: TrainState, *, set_aside: pathlib.Path
) -> tuple[TrainState, RunRecord, list[DamagedCheckpointError]] | None:
    """Reads the newest checkpoint that is whole; damaged ones that are newer are moved away.

    Args:
      folder: where they lie; not opened by anybody else.
      like: see `restore_checkpoint`.
      set_aside: a folder beside it that damaged checkpoints are moved into, so that training can save these steps
        again; made when it is needed.

    Returns:
      The state, the record that travelled with it, and the damage found on the way to it; None where there is no
      checkpoint.

    Raises:
      DamagedCheckpointError: none is whole; or the newest is not, and several processes run.
    """
    damaged = [error for error in map(damage_without_arrays, checkpoint_paths(folder)) if error is not None]
    # Another process may have read its part well, and continues.
    if damaged and jax.process_count() > 1:
        raise damaged[0]
    # With one of these the folder cannot be opened to save in.
    moved = _move_away(damaged, set_aside)
    unreadable: list[DamagedCheckpointError] = []
    for path in checkpoint_paths(folder):
        try:
            state, record = restore_checkpoint(path, like)
        except DamagedCheckpointError as error:
            if jax.process_count() > 1:
                raise
            unreadable.append(error)
            continue
        _move_away(unreadable, set_aside)
        return state, record, damaged + unreadable
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


def best_score(checkpoints: ocp.CheckpointManager) -> float | None:
    """The largest score saved so far, None before the first."""
    best = checkpoints.best_step()
    metrics = None if best is None else checkpoints.metrics(best)
    return None if metrics is None else metrics[SCORE]


def abstract_like(state: TrainState, mesh: Mesh) -> TrainState:
    """`state` (real or from `jax.eval_shape`) as shapes, dtypes and the shardings it has on a mesh."""
    abstract: TrainState = jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        state,
        state_sharded(state, mesh),
    )
    return abstract
