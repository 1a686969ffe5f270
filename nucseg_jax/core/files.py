"""Files that are there whole or not at all."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any


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


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes UTF-8 text at once; see `replaced_at_once`."""
    with replaced_at_once(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes strict JSON (a NaN raises ValueError), indented, at once."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
