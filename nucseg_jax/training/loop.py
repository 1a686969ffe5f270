"""The training loop: epochs of steps, and what happens between them. It knows no nuclei and no files."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Generic

import jax

from nucseg_jax.core.errors import Preempted, UserError
from nucseg_jax.training.feed import Ticket
from nucseg_jax.training.schedule import Schedule
from nucseg_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Hooks(Generic[Ticket]):
    """Functions that the loop calls; the caller binds each to its surroundings.

    Attributes:
      tickets: (epoch, first step within it) -> what the rest of that epoch's steps need, one item a dispatch.
      steps: (state, tickets) -> (state after K >= 1 steps, logs of each, every leaf [K] on the device).
      end_epoch: (state, epoch) -> (state, score); validates; a larger score is better.
      save: (state, score or None between validations).
      on_step: (steps done); called whenever more are known to be done, and now and then again.
      on_logs: (steps done, logs of that step as floats).
      should_stop: returns True to save and stop after this dispatch; called once for each, with equal answers in
        all processes.
      undefined: names of logs that may be NaN in a step; such a log is left out of it.
    """

    tickets: Callable[[int, int], Iterator[Ticket]]
    steps: Callable[[TrainState, Ticket], tuple[TrainState, dict[str, jax.Array]]]
    end_epoch: Callable[[TrainState, int], tuple[TrainState, float]]
    save: Callable[[TrainState, float | None], None]
    on_step: Callable[[int], None]
    on_logs: Callable[[int, dict[str, float]], None]
    should_stop: Callable[[], bool] = lambda: False
    undefined: frozenset[str] = frozenset()


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


def fit(state: TrainState, schedule: Schedule, hooks: Hooks[Ticket]) -> TrainState:
    """Trains from wherever `state` stands to the end of the schedule.

    Logs are fetched together every `log_every_steps` and before every checkpoint, so that no checkpoint holds
    the outcome of a non-finite step. Which steps are logged does not depend on how many run a dispatch.

    Raises:
      NonFiniteLossError: names the first step and term that was not finite.
      Preempted: `hooks.should_stop` said so; the state is saved. An epoch whose steps are done is validated first.
    """
    step = int(state.step)
    is_stopping = False
    # Each dispatch's first step and its logs.
    pending: list[tuple[int, dict[str, jax.Array]]] = []

    def saves(number: int) -> bool:
        return bool(schedule.checkpoint_every_steps) and number % schedule.checkpoint_every_steps == 0

    def is_logged(number: int) -> bool:
        ends_epoch = number % schedule.steps_per_epoch == 0
        return number % schedule.log_every_steps == 0 or ends_epoch or saves(number)

    def fetch_logs() -> None:
        fetched = jax.device_get(pending)
        pending.clear()
        hooks.on_step(step)
        for first, columns in fetched:
            for offset, row in enumerate(zip(*columns.values(), strict=True)):
                logs = {
                    name: value
                    for name, value in zip(columns, map(float, row), strict=True)
                    if not (name in hooks.undefined and math.isnan(value))
                }
                faults = [term for term, value in logs.items() if not math.isfinite(value)]
                if faults or is_logged(first + offset):
                    hooks.on_logs(first + offset, logs)
                if faults:
                    raise NonFiniteLossError(first + offset, faults[0], logs[faults[0]])

    while step < schedule.total_steps:
        epoch, done = divmod(step, schedule.steps_per_epoch)
        for tickets in hooks.tickets(epoch, done):
            state, logs = hooks.steps(state, tickets)
            before, step = step, step + len(next(iter(logs.values())))
            pending.append((before + 1, logs))
            # One dispatch computes while the next is queued; more would only let the progress run ahead.
            if len(pending) > 1:
                jax.block_until_ready(pending[-2][1])
            hooks.on_step(before)
            is_stopping = hooks.should_stop()
            if is_stopping or any(map(is_logged, range(before + 1, step + 1))):
                fetch_logs()
            if step % schedule.steps_per_epoch and (is_stopping or saves(step)):
                hooks.save(state, None)
                if is_stopping:
                    raise Preempted(f"step {step:,} of {schedule.total_steps:,}")
        state, score = hooks.end_epoch(state, epoch)
        hooks.save(state, score)
        if is_stopping and step < schedule.total_steps:
            raise Preempted(f"step {step:,} of {schedule.total_steps:,}")
    return state
