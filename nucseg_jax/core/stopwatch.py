"""Wall time by phase."""

import contextlib
import time
from collections.abc import Iterator


class Stopwatch:
    """Adds up seconds under names; a phase inside another counts for itself only."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since = time.monotonic()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase up to now, phases still open included."""
        self._settle()
        return dict(self._seconds)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Counts the time spent in the block, errors included."""
        self._settle()
        self._open.append(name)
        try:
            yield
        finally:
            self._settle()
            self._open.pop()

    def _settle(self) -> None:
        now = time.monotonic()
        if self._open:
            name = self._open[-1]
            self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now
