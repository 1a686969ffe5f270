"""The training loop, let run for a number of dispatches at a time: to measure it interleaved with others."""

import dataclasses
import threading

import jax

from nucseg_jax.training.feed import Ticket
from nucseg_jax.training.loop import Hooks, fit
from nucseg_jax.training.schedule import Schedule
from nucseg_jax.training.state import TrainState


class _StoppedError(Exception):
    """Ends the loop from within."""


class PacedFit:
    """`fit` in a thread of its own that stands still between two calls of `advance`, all its work done."""

    def __init__(self, state: TrainState, schedule: Schedule, hooks: Hooks[Ticket]):
        """Starts the loop, which waits before its first dispatch.

        Args:
          state: where it starts; donated.
          schedule: longer than anybody will wait for.
          hooks: the loop's.
        """
        self._left = 0
        self._stopped = False
        self._error: BaseException | None = None
        self._go, self._arrived = threading.Semaphore(0), threading.Semaphore(0)

        def steps(state: TrainState, tickets: Ticket) -> tuple[TrainState, dict[str, jax.Array]]:
            if not self._left:
                jax.block_until_ready(state)
                self._arrived.release()
                self._go.acquire()
                if self._stopped:
                    raise _StoppedError
            self._left -= 1
            return hooks.steps(state, tickets)

        def run() -> None:
            try:
                fit(state, schedule, dataclasses.replace(hooks, steps=steps))
                self._error = RuntimeError(f"the schedule of {schedule.total_steps} steps is over")
            except BaseException as error:
                self._error = error
            self._arrived.release()

        self._thread = threading.Thread(target=run, name="paced fit", daemon=True)
        self._thread.start()
        self._wait()

    def advance(self, dispatches: int) -> None:
        """Lets the loop make so many dispatches, with all that belongs to them, and waits until they are done.

        Raises:
          Exception: what the loop raised.
        """
        self._left = dispatches
        self._go.release()
        self._wait()

    def close(self) -> None:
        """Ends the loop."""
        self._stopped = True
        self._go.release()
        self._thread.join()

    def _wait(self) -> None:
        self._arrived.acquire()
        if self._error is not None and not self._stopped:
            raise self._error
