"""A file or folder that one process writes at a time."""

import contextlib
import errno
import pathlib
from collections.abc import Iterator

import filelock

from nucseg_jax.core.errors import UserError


@contextlib.contextmanager
def file_lock(lock_file: pathlib.Path, *, busy: str, advice: str) -> Iterator[None]:
    """Holds an advisory lock for the length of the block; it ends with the process, even a killed one.

    Args:
      lock_file: made if missing, kept, and never written to: it could be a hard link of another file.
      busy: the error where another process holds it, such as 'another process is training in runs/a'.
      advice: what to do then.

    Raises:
      UserError: another process holds it.
      OSError: the file cannot be opened, or is a link.
    """
    lock = filelock.FileLock(lock_file, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise UserError(busy, expected="one at a time", advice=advice) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            reason = f"{lock_file.name} is a link; files are not written through links"
            raise OSError(errno.ELOOP, reason, str(lock_file)) from None
        raise
    try:
        yield
    finally:
        lock.release()
