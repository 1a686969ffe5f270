"""Warnings of tifffile, kept for the image that is being read, each once.

tifffile logs what it stumbles over and reads on; between the lines of `predict` nobody could tell of which image.
"""

import contextlib
import contextvars
import logging
import pathlib
from collections.abc import Iterator

_MOST = 5
_LONGEST = 300
_reading: contextvars.ContextVar[pathlib.Path | None] = contextvars.ContextVar("reading", default=None)
_kept: dict[pathlib.Path, list[str]] = {}


def _keep(record: logging.LogRecord) -> bool:
    """Files a record under the image that is being read; returns True for one of no image, which is logged as usual.

    The threads of zarr and asyncio inherit which image that is.
    """
    path = _reading.get()
    if path is None:
        return True
    text = " ".join(record.getMessage().split())[:_LONGEST]
    kept = _kept.setdefault(path, [])
    if record.levelno >= logging.WARNING and text not in kept and len(kept) < _MOST:
        kept.append(text)
    return False


_LOGGER = logging.getLogger("tifffile")
_LOGGER.addFilter(_keep)
# A filter sees what the level lets through, and programs set that of all loggers: the command line to ERROR.
_LOGGER.setLevel(logging.WARNING)


@contextlib.contextmanager
def warnings_of(path: pathlib.Path) -> Iterator[None]:
    """Files the warnings that tifffile logs inside the block under an image."""
    token = _reading.set(path)
    try:
        yield
    finally:
        _reading.reset(token)


def take_warnings(path: pathlib.Path) -> list[str]:
    """Returns the warnings of an image, at most five, in order, and forgets them."""
    return _kept.pop(path, [])
