"""What a person sees while a model trains: one moving bar, one lasting line an epoch."""

import sys
import time

from tqdm import tqdm


class Progress:
    """A bar over the steps of the run, with images/s and the time that is left.

    Where standard error is no terminal the bar is drawn every 30 s, so that log files stay short.
    """

    def __init__(self, *, total_steps: int, done_steps: int, batch_size: int):
        self._batch_size = batch_size
        self._last_logs = (time.monotonic(), done_steps)
        self._bar = tqdm(
            total=total_steps,
            initial=done_steps,
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 30,
            bar_format="{percentage:3.0f}%|{bar}| step {n_fmt}/{total_fmt}, {elapsed} gone, {remaining} left{postfix}",
        )

    def stepped(self, step: int) -> None:
        """Moves the bar to `step`."""
        self._bar.update(step - self._bar.n)

    def logged(self, step: int, loss: float) -> float:
        """Shows the newest loss; returns the images/s since the last call."""
        now = time.monotonic()
        since, before = self._last_logs
        rate = (step - before) * self._batch_size / max(now - since, 1e-9)
        self._last_logs = (now, step)
        self._bar.set_postfix_str(f"{rate:.1f} images/s, loss {loss:.4f}", refresh=False)
        return rate

    def resumed(self, step: int) -> None:
        """Forgets time spent on something else than steps, such as a validation."""
        self._last_logs = (time.monotonic(), step)

    def line(self, text: str) -> None:
        """Prints a lasting line above the bar."""
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.close()
