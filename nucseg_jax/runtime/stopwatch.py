"""Wall time by phase."""

import contextlib
import os
import pathlib
import time
import types
from collections.abc import Iterator, Mapping

_IMPORTED = time.monotonic()


def process_age_s() -> float:
    """Seconds since this process was started; since this file was imported, where the system does not say."""
    try:
        # Fields are counted after the name, which stands in brackets and may hold spaces.
        fields = pathlib.Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        return time.monotonic() - _IMPORTED


class Stopwatch:
    """Adds up seconds under names; a phase inside another counts for itself only."""

    def __init__(self, already: Mapping[str, float] = types.MappingProxyType({})) -> None:
        """Starts; `already` holds seconds by phase that were counted elsewhere."""
        self._seconds: dict[str, float] = dict(already)
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
