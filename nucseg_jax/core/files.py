"""Files that are there whole or not at all."""

import contextlib
import errno
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from nucseg_jax.core.errors import UserError


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


@contextlib.contextmanager
def full_disk_explained(folder: pathlib.Path, *, advice: str) -> Iterator[None]:
    """Makes one UserError of whatever a library raises inside the block because the disk of `folder` is full."""
    try:
        yield
    except UserError:
        raise
    # TensorStore wraps the system's error in a ValueError, which only its text tells from others.
    except (OSError, ValueError) as error:
        reasons = [os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT)]
        reason = next((reason for reason in reasons if reason in str(error)), None)
        if reason is None:
            raise
        raise UserError(f"{folder} cannot be written: {reason}", advice=advice) from error


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes UTF-8 text at once; see `replaced_at_once`."""
    with replaced_at_once(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes strict JSON (a NaN raises ValueError), indented, at once."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
