"""The length of a run, and how often it logs and saves."""

import dataclasses
from collections.abc import Iterator

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.order import steps_per_epoch


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The length of a run, and its intervals.

    Attributes:
      epochs: passes over the training examples.
      steps_per_epoch: > 0.
      log_every_steps: steps between two log lines; the end of an epoch logs too.
      checkpoint_every_steps: steps between two checkpoints within an epoch; 0 = none.
    """

    epochs: int
    steps_per_epoch: int
    log_every_steps: int
    checkpoint_every_steps: int

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch


def make_schedule(
    training_patches: int,
    *,
    epochs: int,
    patch_px: int,
    tile_px: int,
    batch_size: int,
    log_every_steps: int,
    checkpoint_every_steps: int,
) -> Schedule:
    """Returns the schedule for this many training patches; the first log line comes before the middle of epoch 1.

    Raises:
      UserError: the training split does not fill one batch, or is too large for exact epoch counts.
    """
    steps = steps_per_epoch(training_patches, patch_px=patch_px, tile_px=tile_px, batch_size=batch_size)
    if not steps:
        raise UserError(
            f"{counted(training_patches, 'training patch')}, cut into tiles of {tile_px} px, do not fill a batch of"
            f" {batch_size}",
            advice="lower --config.train.batch_size, or prepare more patches",
        )
    if training_patches * patch_px**2 >= 2**32:
        raise UserError(
            f"the training split has {counted(training_patches, 'patch')} of {patch_px} px",
            expected=f"at most {(2**32 - 1) // patch_px**2:,}, so that an epoch's pixels fit 32-bit counts",
        )
    return Schedule(
        epochs=epochs,
        steps_per_epoch=steps,
        log_every_steps=min(log_every_steps, max(1, (steps - 1) // 2)),
        checkpoint_every_steps=checkpoint_every_steps,
    )


def dispatch_sizes(
    schedule: Schedule, steps_per_dispatch: int, *, epoch: int, first_step: int
) -> Iterator[int]:
    """Returns how many steps each dispatch runs, from `first_step` to the end of an epoch.

    `steps_per_dispatch` while that many are left before the next checkpoint or the epoch's end, then one by one:
    two compiled programs serve every schedule, and a checkpoint holds the step it is named after.

    >>> list(dispatch_sizes(Schedule(1, 10, 1, 0), 4, epoch=0, first_step=0))
    [4, 4, 1, 1]
    """
    step = first_step
    while step < schedule.steps_per_epoch:
        left = schedule.steps_per_epoch - step
        if schedule.checkpoint_every_steps:
            done = epoch * schedule.steps_per_epoch + step
            left = min(left, schedule.checkpoint_every_steps - done % schedule.checkpoint_every_steps)
        size = steps_per_dispatch if steps_per_dispatch <= left else 1
        yield size
        step += size
