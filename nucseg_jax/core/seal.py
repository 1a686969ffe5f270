"""Digests by which altered files are found: of files, of JSON values, and of a JSON object inside itself (a seal)."""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import TypedDict, TypeVar

from nucseg_jax.core.files import read_file

SEAL = "sha256"
# Text, whose line ends git and editors change on the way between systems.
_TEXT = (".json", ".jsonl", ".csv", ".md")

Value = TypeVar("Value")


class FileDigest(TypedDict):
    """Length and SHA-256, 64 hexadecimal digits, of a file."""

    bytes: int
    sha256: str


def file_digest(path: pathlib.Path, size: int | None = None) -> FileDigest:
    r"""Returns length and SHA-256 of a file, or of its first `size` bytes: {"bytes": 2, "sha256": "..."}.

    JSON, CSV and Markdown files count with \n as line ends: one that was checked out by git with \r\n is the same.

    Raises:
      OSError: it cannot be read, or is not a regular file.
    """
    return named_digest(path.name, read_file(path), size)


def named_digest(name: str, content: bytes, size: int | None = None) -> FileDigest:
    """Returns what `file_digest` does for a file of this name and content, wherever it lies."""
    if pathlib.PurePath(name).suffix in _TEXT:
        content = content.replace(b"\r\n", b"\n")
    return bytes_digest(content[:size])


def bytes_digest(content: bytes) -> FileDigest:
    """Returns length and SHA-256, as of a file with this content."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def sealed(values: Mapping[str, object]) -> dict[str, object]:
    """Adds the SHA-256 of all values, under `SEAL`; the order of names does not matter.

    Args:
      values: JSON values; finite numbers, every name a string.

    >>> unsealed(sealed({"step": 8}))
    {'step': 8}
    """
    return {**values, SEAL: _digest(values)}


def unsealed(values: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the values that `sealed` was given.

    Raises:
      ValueError: there is no seal, or a value differs from what was sealed.
    """
    rest = {name: value for name, value in values.items() if name != SEAL}
    if values.get(SEAL) != _digest(rest):
        raise ValueError("it does not match its own SHA-256" if SEAL in values else "its SHA-256 is missing")
    return rest


def _digest(values: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()
