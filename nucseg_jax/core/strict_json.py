"""A strict JSON parser: finite numbers that fit, each name once, bounded depth, text that can be written.

Python's own parser takes NaN, 1e999, numbers of a thousand digits, a name twice (the last one counts) and half
characters, and ends in RecursionError on deep nesting; whoever uses such a value fails later, in another way each.
"""

import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from nucseg_jax.core.files import read_file

MAX_DEPTH = 64

# What JSON can hold.
Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
# An object whose names tell what each value is. Of one that was read nothing has been looked at yet: whoever takes a
# value must expect that it is missing, or of another type.
JsonObject: TypeAlias = dict[str, Any]


def read_json(path: pathlib.Path) -> Any:
    """Reads a JSON file; what comes is `Json`, but which of its kinds is for the caller to find out.

    Raises:
      OSError: it cannot be read.
      ValueError: it is not strict JSON, and why.
    """
    return parse_json(read_file(path))


def parse_json(content: bytes, *, allow_nan: bool = False) -> Any:
    """Parses strict JSON in UTF-8, to a `Json`; see `read_json`.

    Args:
      content: the file's bytes.
      allow_nan: NaN, Infinity and -Infinity, which other programs write for missing numbers, become NaN.

    Raises:
      ValueError: it is none, and why.

    >>> parse_json(b'{"step": 50, "loss": 0.4}')
    {'step': 50, 'loss': 0.4}
    """
    text = content.decode()
    try:
        value = json.loads(
            text,
            parse_constant=_nan if allow_nan else _refuse,
            parse_float=_finite,
            parse_int=_int64,
            object_pairs_hook=_named_once,
        )
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels") from None
    _check_depth(value)
    if "\\ud" in text.lower():
        # Half of a character; as text it cannot be written.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _nan(_constant: str) -> float:
    return math.nan


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _int64(text: str) -> int:
    number = int(text) if len(text) <= 20 else 2**63
    if abs(number) >= 2**63:
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _named_once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise ValueError("an object has a name twice")
    return named


def _check_depth(value: Json) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        # The containers one level deeper.
        containers = [inner for inner in level if isinstance(inner, dict | list)]
        if not containers:
            return
        level = [
            inner for outer in containers for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
