"""A folder held by one process at a time."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import open_without_links


@contextlib.contextmanager
def held(lock_file: pathlib.Path) -> Iterator[None]:
    """Holds an advisory lock for the length of the block; it ends with the process, so a kill leaves none.

    Args:
      lock_file: made if it is not there, left there, and never written to: it could be a name of another file.

    Raises:
      BlockingIOError: another process holds it.
      OSError: the file cannot be opened, or is a link.
      UserError: the system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        raise UserError(
            f"this system ({sys.platform}) has no fcntl, by which {lock_file.parent} is locked",
            expected="Linux or macOS; on Windows the Windows Subsystem for Linux (WSL)",
        ) from None
    # NFS takes an exclusive lock only on a file that is open for writing.
    opened = open_without_links(lock_file, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)
