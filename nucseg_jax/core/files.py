"""Files that are there whole or not at all."""

import contextlib
import errno
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from nucseg_jax.core.errors import UserError

# No room, no quota, or no longer file on this file system.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def replaced_at_once(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a temporary name beside `path` and renames it to `path` once the block ends without an error.

    A kill at any moment leaves the old file or the new one. On an error the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_file(path: pathlib.Path) -> None:
    """Waits until what was written to a file is on disk, where a loss of power cannot take it back."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def is_full_disk(error: BaseException) -> bool:
    """Whether an error says that a disk is full, be it the system's or a library's that carries its text.

    TensorStore raises a ValueError then, and ArrayRecord a RuntimeError.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _NO_SPACE
    return not isinstance(error, UserError) and any(os.strerror(code) in str(error) for code in _NO_SPACE)


@contextlib.contextmanager
def full_disk_explained(folder: pathlib.Path, *, advice: str) -> Iterator[None]:
    """Makes one UserError of whatever a library raises inside the block because the disk of `folder` is full."""
    try:
        yield
    except Exception as error:
        if not is_full_disk(error):
            raise
        raise UserError(f"{folder} cannot be written: the disk is full", advice=advice) from error


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes UTF-8 text at once; see `replaced_at_once`."""
    with replaced_at_once(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes strict JSON (a NaN raises ValueError), indented, at once."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Strict JSON, indented, as `write_json` writes it."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
