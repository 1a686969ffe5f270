"""The training loop: epochs of steps, and what happens between them. It knows no nuclei and no files."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax

from nucseg_jax.core.errors import UserError
from nucseg_jax.training.schedule import Schedule
from nucseg_jax.training.state import TrainState

Logs = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Hooks:
    """What the loop calls; each is bound to its surroundings by the caller.

    Attributes:
      batches: (epoch, first step within it) -> the rest of that epoch's batches, on the mesh.
      step: (state, batch) -> (state, logs of scalars on the device).
      end_epoch: (state, epoch) -> (state, score); validates; a larger score is better.
      save: (state, score or None between validations).
      on_step: (steps done); called whenever one more is known to be done, and now and then again.
      on_logs: (steps done, logs of that step as floats).
    """

    batches: Callable[[int, int], Iterator[Any]]
    step: Callable[[TrainState, Any], tuple[TrainState, dict[str, jax.Array]]]
    end_epoch: Callable[[TrainState, int], tuple[TrainState, float]]
    save: Callable[[TrainState, float | None], None]
    on_step: Callable[[int], None]
    on_logs: Callable[[int, dict[str, float]], None]


class NonFiniteLossError(UserError):
    """A loss term or the gradient is NaN or infinite."""

    def __init__(self, step: int, term: str, value: float):
        super().__init__(
            f"{term} is {value} at step {step}; training stopped, checkpoints of earlier steps stay",
            advice="start again in a new --workdir with a lower --config.train.lr, or with"
            " --config.train.dtype=float32 if it was bfloat16; metrics.jsonl shows what led to it",
        )
        self.step = step
        self.term = term


def fit(state: TrainState, schedule: Schedule, hooks: Hooks) -> TrainState:
    """Trains from wherever `state` stands to the end of the schedule.

    Logs are fetched together every `log_every_steps` and before every checkpoint, so that no checkpoint holds
    the outcome of a non-finite step.

    Raises:
      NonFiniteLossError: names the first step and term that was not finite.
    """
    step = int(state.step)
    pending: list[tuple[int, dict[str, jax.Array]]] = []

    def fetch_logs() -> None:
        fetched = [
            (number, {term: float(value) for term, value in jax.device_get(logs).items()})
            for number, logs in pending
        ]
        pending.clear()
        for number, logs in fetched:
            for term, value in logs.items():
                if not math.isfinite(value):
                    hooks.on_logs(number, logs)
                    raise NonFiniteLossError(number, term, value)
        if fetched:
            hooks.on_logs(*fetched[-1])

    while step < schedule.total_steps:
        epoch, done = divmod(step, schedule.steps_per_epoch)
        for batch in hooks.batches(epoch, done):
            state, logs = hooks.step(state, batch)
            step += 1
            pending.append((step, logs))
            # One step computes while the next is queued; more would only let the progress run ahead.
            if len(pending) > 1:
                jax.block_until_ready(pending[-2][1])
            hooks.on_step(step - 1)
            ends_epoch = step % schedule.steps_per_epoch == 0
            saves = bool(schedule.checkpoint_every_steps) and step % schedule.checkpoint_every_steps == 0
            if step % schedule.log_every_steps == 0 or ends_epoch or saves:
                fetch_logs()
                hooks.on_step(step)
            if saves and not ends_epoch:
                hooks.save(state, None)
        state, score = hooks.end_epoch(state, epoch)
        hooks.save(state, score)
    return state
