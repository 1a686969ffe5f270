"""A data folder held by one process, and a scratch folder in it that no kill leaves behind for good."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import is_full_disk
from nucseg_jax.core.lock import file_lock

_SCRATCH = ".preparing"
_LOCK = ".prepare.lock"


@contextlib.contextmanager
def scratch(data_dir: pathlib.Path) -> Iterator[pathlib.Path]:
    """Holds a data folder and gives an empty folder in it, on the same disk, removed at the end.

    What an earlier process left there when it was killed is removed first. The hold ends with the process, so
    a kill leaves no stale lock.

    Args:
      data_dir: the data folder; made if it is not there.

    Yields:
      The scratch folder.

    Raises:
      UserError: the folder cannot be written, another process holds it, or the disk is full.
    """
    folder = data_dir / _SCRATCH
    with contextlib.ExitStack() as stack:
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(
                file_lock(
                    data_dir / _LOCK,
                    busy=f"another `prepare` is at work in {data_dir}",
                    advice="wait until it has ended, or choose another --config.data.dir",
                )
            )
            shutil.rmtree(folder, ignore_errors=True)
            if folder.is_symlink():
                folder.unlink()
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(
                f"The data folder {data_dir} cannot be written: {error.strerror or error}.",
                expected="a folder that you may write to",
                advice="choose another --config.data.dir",
            ) from error
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        with full_disk_is_an_error_of(data_dir):
            yield folder


@contextlib.contextmanager
def full_disk_is_an_error_of(folder: pathlib.Path) -> Iterator[None]:
    """Turns every error that a full disk causes into a `UserError`."""
    try:
        yield
    except Exception as error:
        if is_full_disk(error):
            raise UserError(
                f"The disk of {folder} became full. What was half done has been removed.",
                expected="room for the whole data set, about 0.2 MB a patch",
                advice="free some space, or choose another --config.data.dir, and run the same command again",
            ) from error
        raise
