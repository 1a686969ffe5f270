"""Progress of a prediction: one moving bar with tiles/s and the time that is left."""

import sys
import time

from tqdm import tqdm

_BAR = "{percentage:3.0f}%|{bar}| tile {n_fmt}/{total_fmt}, {rate_fmt}, {elapsed} gone, {remaining} left{postfix}"
_SECONDS_BETWEEN_LINES = 60
# A carriage return or a terminal's own sequence would hide or overwrite lines.
_ESCAPES = {code: ascii(chr(code)).strip("'") for code in (*range(32), *range(127, 160)) if chr(code) != "\n"}


def printable(text: str) -> str:
    """Returns a line with its control characters, which a name may hold, as escapes."""
    return text.translate(_ESCAPES)


class TileProgress:
    """A bar over the tiles of all images; where standard error is no terminal, a line a minute.

    Args:
      total: tiles of all images.
    """

    def __init__(self, total: int):
        self._total = total
        self._done = 0
        self._begin = self._last_line = time.monotonic()
        self._bar = tqdm(
            total=total,
            unit=" tiles",
            dynamic_ncols=True,
            mininterval=0.5,
            bar_format=_BAR,
            disable=not sys.stderr.isatty(),
        )

    def computed(self) -> None:
        """Counts a tile that was computed."""
        self._bar.update()
        self._done += 1
        now = time.monotonic()
        if self._bar.disable and now - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = now
            rate = self._done / (now - self._begin)
            left = (self._total - self._done) / max(rate, 1e-9)
            self.line(f"tile {self._done:,}/{self._total:,}, {rate:.1f} tiles/s, {left:,.0f} s left")

    def not_needed(self, tiles: int) -> None:
        """Takes tiles off the total: without tissue, done before, or of an image that failed."""
        self._total -= tiles
        if not self._bar.disable:
            self._bar.total = self._total
            self._bar.refresh()

    def line(self, text: str) -> None:
        """Prints a lasting line above the bar; control characters, which a name may hold, as escapes."""
        tqdm.write(printable(text), file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.close()
