"""The programs of a run's training steps: found or compiled at their first use, and how long that took."""

from collections.abc import Callable
from typing import Any

import jax

from nucseg_jax.core.stopwatch import Stopwatch
from nucseg_jax.core.stored_program import LoadingProgram, Origin, StoredProgram
from nucseg_jax.training.processes import wait_for_all


class StepPrograms:
    """One compiled program for each number K of steps a dispatch; that of the first is loaded at once.

    Attributes:
      origin: where the first one came from; None before it ran.
    """

    def __init__(self, place: Callable[[int], StoredProgram], first: int):
        """Starts to load.

        Args:
          place: where the program of K steps is kept.
          first: the K that is needed first.
        """
        self._place = place
        self._loading = {first: LoadingProgram(place(first))}
        self._programs: dict[int, jax.stages.Compiled] = {}
        self.origin: Origin | None = None

    def program(self, steps: int) -> jax.stages.Compiled:
        """The program of K = `steps`, once it has run."""
        return self._programs[steps]

    def run(
        self, steps: jax.stages.Wrapped, watch: Stopwatch, state: Any, source: Any, tickets: Any
    ) -> tuple[Any, dict[str, jax.Array]]:
        """`steps(state, source, tickets)`; the very first call waits for its outcome, to be timed.

        Args:
          steps: from `compile_train_steps`.
          watch: gets the phases 'program' and 'first_step'.
          state, source, tickets: what `steps` takes; always of the same shapes but for K.
        """
        size = jax.tree.leaves(tickets)[0].shape[0]
        program = self._programs.get(size)
        if program is not None:
            return program(state, source, tickets)
        with watch.phase("program"):
            loading = self._loading.pop(size, None) or LoadingProgram(self._place(size))
            program, origin = loading.ready(steps, state, source, tickets)
            wait_for_all("the training program")
        self._programs[size] = program
        if self.origin is not None:
            return program(state, source, tickets)
        self.origin = origin
        with watch.phase("first_step"):
            return jax.block_until_ready(program(state, source, tickets))
