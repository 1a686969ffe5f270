"""Checkpoints by Orbax: the newest to go on from, the best to test with.

Each holds the item `state` (TrainState) and the item `record` (JSON: the run's config and split digest).
Saving is asynchronous; Orbax writes under a temporary name and renames, so that a checkpoint is there whole
or not at all.
"""

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from nucseg_jax.training.state import TrainState

NEWEST_KEPT = 2
SCORE = "score"


def open_checkpoints(folder: pathlib.Path, *, read_only: bool = False) -> ocp.CheckpointManager:
    """Opens (and makes) a folder of checkpoints; the last two and the best by score are kept.

    Args:
      folder: where they lie.
      read_only: leave everything as it is, also what a running training has half written.
    """

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
    """
    restored = checkpoints.restore(
        step,
        args=ocp.args.Composite(state=ocp.args.StandardRestore(like), record=ocp.args.JsonRestore()),
    )
    return restored.state, restored.record


def best_score(checkpoints: ocp.CheckpointManager) -> float | None:
    """The largest score saved so far, None before the first."""
    best = checkpoints.best_step()
    metrics = None if best is None else checkpoints.metrics(best)
    return None if metrics is None else metrics[SCORE]


def abstract_like(state: TrainState, sharding: jax.sharding.Sharding) -> TrainState:
    """`state` (real or from `jax.eval_shape`) as shapes and dtypes with one sharding for every leaf."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state)
