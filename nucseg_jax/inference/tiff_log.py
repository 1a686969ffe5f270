"""The warnings of tifffile, collected where they can be told with the name of the image."""

import contextlib
import logging
import threading
from collections.abc import Iterator

_MOST, _LONGEST = 5, 200
_here = threading.local()


class _Collector(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        messages = getattr(_here, "messages", None)
        text = f"tifffile: {' '.join(record.getMessage().split())[:_LONGEST]}"
        if messages is not None and len(messages) < _MOST and text not in messages:
            messages.append(text)


_logger = logging.getLogger("tifffile")
_logger.setLevel(logging.WARNING)
_logger.addHandler(_Collector())
# Its lines name no image that a user would know.
_logger.propagate = False


@contextlib.contextmanager
def tifffile_warnings(messages: list[str]) -> Iterator[None]:
    """Adds what tifffile warns of in this thread, inside the block, to a list; the first few, shortened."""
    before = getattr(_here, "messages", None)
    _here.messages = messages
    try:
        yield
    finally:
        _here.messages = before
