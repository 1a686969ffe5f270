"""The compiled programs of a run's training steps, and how long the first one took."""

import jax

from nucseg_jax.runtime.compilation_cache import Origin, cached_compile
from nucseg_jax.runtime.processes import wait_for_all
from nucseg_jax.runtime.stopwatch import Stopwatch
from nucseg_jax.training.feed import Source, Ticket
from nucseg_jax.training.state import TrainState

StateAndLogs = tuple[TrainState, dict[str, jax.Array]]


class CompiledSteps:
    """One compiled program for each number K of steps a dispatch, compiled at its first call.

    Attributes:
      origin: where the first one came from; None before it ran.
    """

    def __init__(self) -> None:
        """Compiles nothing yet."""
        self._programs: dict[int, jax.stages.Compiled] = {}
        self.origin: Origin | None = None

    def program(self, steps: int) -> jax.stages.Compiled:
        """The program of K = `steps`, once it has run."""
        return self._programs[steps]

    def run(
        self, steps: jax.stages.Wrapped, watch: Stopwatch, state: TrainState, source: Source, tickets: Ticket
    ) -> StateAndLogs:
        """Returns `steps(state, source, tickets)`; the very first call waits for its outcome, to be timed.

        Args:
          steps: from `compile_train_steps`.
          watch: gets the phases 'program' and 'first_step'.
          state, source, tickets: what `steps` takes; always of the same shapes but for K.
        """
        size = jax.tree.leaves(tickets)[0].shape[0]
        program = self._programs.get(size)
        if program is not None:
            return _ran(program, state, source, tickets)
        with watch.phase("program"):
            program, _, origin = cached_compile(steps, state, source, tickets)
            wait_for_all("the training program")
        self._programs[size] = program
        if self.origin is not None:
            return _ran(program, state, source, tickets)
        self.origin = origin
        with watch.phase("first_step"):
            first = _ran(program, state, source, tickets)
            jax.block_until_ready(first)
            return first


def _ran(program: jax.stages.Compiled, state: TrainState, source: Source, tickets: Ticket) -> StateAndLogs:
    outcome: StateAndLogs = program(state, source, tickets)
    return outcome
