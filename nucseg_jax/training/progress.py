"""Progress of training for a person: one moving bar, one lasting line an epoch."""

import sys
import time

from tqdm import tqdm

BAR = "{percentage:3.0f}%|{bar}| step {n_fmt}/{total_fmt}, {elapsed} gone, {remaining} left{postfix}"
SECONDS_BETWEEN_LINES = 60


class Progress:
    """A bar over the steps of the run, with images/s and the time that is left.

    Where standard error is not a terminal, such as in a log file, a line a minute replaces it; `silent` shows nothing.
    """

    def __init__(self, *, total_steps: int, done_steps: int, batch_size: int, silent: bool = False):
        self._total_steps = total_steps
        self._silent = silent
        self._done_steps = done_steps
        self._batch_size = batch_size
        # Time and step from which the rate counts; None after anything that is not a step.
        self._rate_from: tuple[float, int] | None = None
        self._rate: float | None = None
        self._steps_of_start = 0
        self._last_line = time.monotonic()
        self._bar = tqdm(
            total=total_steps,
            initial=done_steps,
            dynamic_ncols=True,
            mininterval=0.5,
            bar_format=BAR,
            disable=silent or not sys.stderr.isatty(),
        )

    def stepped(self, step: int) -> None:
        """Moves the bar to `step`, the number of steps that are done."""
        # A bar that is not shown does not count.
        self._bar.update(step - self._done_steps)
        self._done_steps = step
        # The first step after a pause holds a compilation or the pause itself.
        if self._rate_from is None:
            self._rate_from = (time.monotonic(), step + self._steps_of_start)
            self._steps_of_start = 0

    def logged(self, step: int, loss: float) -> float | None:
        """Shows the loss of `step`; returns the images/s up to the newest step that is done.

        None right after a pause. Steps of one dispatch are done together and have one rate.
        """
        now, done = time.monotonic(), self._done_steps
        if self._rate_from is None or done > self._rate_from[1]:
            self._rate = None
            if self._rate_from is not None:
                since, before = self._rate_from
                self._rate = (done - before) * self._batch_size / max(now - since, 1e-9)
            self._rate_from = (now, done)
        shown = f"{self._rate:.1f} images/s, " if self._rate else ""
        self._bar.set_postfix_str(f"{shown}loss {loss:.4f}", refresh=False)
        if self._bar.disable and now - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.line(f"step {step:,}/{self._total_steps:,}, {shown}loss {loss:.4f}")
        return self._rate

    def started(self, steps: int) -> None:
        """Leaves the first steps of a start out of the rate: they are done before `stepped` is called."""
        self._steps_of_start = steps

    def paused(self) -> None:
        """Leaves the time since the last step out of the rate, such as that of a validation or a checkpoint."""
        self._rate_from = self._rate = None

    def line(self, text: str) -> None:
        """Prints a lasting line above the bar."""
        if not self._silent:
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.close()
