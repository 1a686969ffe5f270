"""Atomic writes, and links that are not followed when a file is written.

In a folder that others may write to, a link under a name of ours would lead to a file of ours elsewhere.
"""

import contextlib
import errno
import json
import os
import pathlib
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from typing import TextIO

from nucseg_jax.core.errors import UserError

# No room, no quota, or no longer file on this file system.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


# Names of `temporary_path`.
HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{8}\.part")


def temporary_path(path: pathlib.Path) -> pathlib.Path:
    """Returns a new hidden name beside `path`, 15 bytes longer, for what is not finished; it matches `HALF_WRITTEN`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def remove_half_written(folder: pathlib.Path) -> None:
    """Removes the files in a folder that `atomic_write` of a killed process left; none may be at work there."""
    for part in folder.iterdir():
        if HALF_WRITTEN.fullmatch(part.name) and part.is_file():
            part.unlink()


@contextlib.contextmanager
def atomic_write(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary name beside `path` and renames it to `path` once the block ends without an error.

    A kill at any moment leaves the old file or the new one. On an error the temporary file is removed. The
    temporary file exists, empty, when the block begins; nobody can have put a link under its name before.
    """
    temporary = temporary_path(path)
    os.close(open_without_links(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        yield temporary
        sync_file(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields an empty folder beside `path` that takes its place once the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    new.mkdir()
    try:
        yield new
        if path.exists():
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def open_without_links(path: str | pathlib.Path, flags: int) -> int:
    """Opens a file as `os.open` does, but not through a link; new files get the mode that the umask leaves of 0666.

    It fits the `opener` of `open`.

    Raises:
      OSError: it is a link (ELOOP, with the words for it), or cannot be opened.
    """
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            name = pathlib.Path(path).name
            raise OSError(
                errno.ELOOP, f"{name} is a link; files are not written through links", str(path)
            ) from None
        raise


def open_to_append(path: pathlib.Path) -> TextIO:
    """Opens a text file of ours, made if it is missing, to add lines at its end; see `open_without_links`."""
    return open(path, "a", encoding="utf-8", opener=open_without_links)


def read_file(path: pathlib.Path) -> bytes:
    """Reads a regular file, links followed.

    Raises:
      OSError: it cannot be read, or is a folder, a pipe (whose reader waits forever) or a device (without an end).
    """
    require_regular_file(path)
    return path.read_bytes()


def require_regular_file(path: pathlib.Path) -> None:
    """Raises OSError unless a regular file is there, links followed; opens nothing."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def special_file_below(folder: pathlib.Path) -> pathlib.Path | None:
    """Returns a pipe, socket or device in a folder or below it, links followed; None if there is none."""
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # Gone since, or a link that leads nowhere.
            mode = path.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                return path
    return None


def sync_file(path: pathlib.Path) -> None:
    """Waits until what was written to a file is on disk, where a loss of power cannot take it back."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_below(folder: pathlib.Path) -> None:
    """Sees every file below a folder to the disk, if there is one: a loss of power could take what was promised."""
    for root, _, names in os.walk(folder):
        for name in names:
            sync_file(pathlib.Path(root, name))


def remove_whole(path: pathlib.Path) -> None:
    """Removes a folder, or a file or link in its place, if there is one; nothing behind a link."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def is_full_disk(error: BaseException) -> bool:
    """Returns True for an error of a full disk, the system's or a library's that quotes its text.

    TensorStore raises a ValueError then, and ArrayRecord a RuntimeError.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _NO_SPACE
    return not isinstance(error, UserError) and any(os.strerror(code) in str(error) for code in _NO_SPACE)


@contextlib.contextmanager
def full_disk_explained(folder: pathlib.Path, *, advice: str) -> Iterator[None]:
    """Raises one UserError for any error of a full disk inside the block."""
    try:
        yield
    except Exception as error:
        if not is_full_disk(error):
            raise
        raise UserError(f"{folder} cannot be written: the disk is full", advice=advice) from error


@contextlib.contextmanager
def own_files_explained(folder: pathlib.Path) -> Iterator[None]:
    """Raises one UserError for an OSError inside the block that concerns a file in `folder`."""
    try:
        yield
    except OSError as error:
        if error.filename is None or folder.absolute() not in pathlib.Path(error.filename).absolute().parents:
            raise
        raise UserError(
            f"{error.filename} cannot be used: {error.strerror}",
            expected="files that this program wrote itself",
            advice="move it away, or choose another folder",
        ) from error


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes UTF-8 text atomically; see `atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, value: object) -> None:
    """Writes strict JSON (a NaN raises ValueError), indented, atomically."""
    write_text(path, json_text(value))


def json_text(value: object) -> str:
    """Returns strict JSON, indented, as `write_json` writes it."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
