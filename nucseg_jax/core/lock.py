"""A folder held by one process at a time."""

import contextlib
import fcntl
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def held(lock_file: pathlib.Path) -> Iterator[None]:
    """Holds an advisory lock for the length of the block; it ends with the process, so a kill leaves none.

    Args:
      lock_file: made if it is not there, and left there.

    Raises:
      BlockingIOError: another process holds it.
      OSError: the file cannot be opened.
    """
    with lock_file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
