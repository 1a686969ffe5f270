"""`--config=FILE` before ml_collections opens it: `~` expanded, and a file that is missing named within a second."""

import pathlib
from collections.abc import Sequence

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import require_python_file
from nucseg_jax.core.paths import PROJECT, expand_user

_NAMES = ("--config", "-config")


def with_config_path(arguments: Sequence[str]) -> list[str]:
    """Returns the command line with the path of --config as a path that exists.

    Args:
      arguments: program, command and flags; `--config=FILE` or `--config FILE`. `FILE.py:TEXT` hands TEXT to the
        file's `get_config`.

    Raises:
      UserError: there is no such file; names that are nearest are suggested.
    """
    changed = list(arguments)
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in _NAMES and equals:
            changed[index] = f"{name}={_found(value)}"
        elif name in _NAMES and index + 1 < len(arguments):
            changed[index + 1] = _found(arguments[index + 1])
    return changed


def _found(value: str) -> str:
    if value.startswith("-") or not value:
        raise UserError(f"--config is followed by {value or 'nothing'}", expected="--config=FILE")
    path, colon, text = value.partition(":")
    path = expand_user(path)
    require_python_file(pathlib.Path(path), kind="config file", examples=PROJECT / "configs")
    return f"{path}{colon}{text}"
