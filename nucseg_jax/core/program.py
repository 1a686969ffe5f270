"""The words that start this program, as the user typed them: in every message that names a command."""

import pathlib
import sys

from nucseg_jax.core.paths import PROJECT

_LAUNCH = "launch.py"


def started_as(argument: str) -> tuple[str, ...]:
    """Returns the words that start the program again, by `sys.argv[0]` of this process.

    >>> started_as("/usr/bin/nucseg")
    ('nucseg',)
    >>> started_as("launch.py")
    ('python', 'launch.py')
    """
    path = pathlib.PurePath(argument)
    name = path.name
    if name.startswith("nucseg"):
        return ("nucseg",)
    if name == "__main__.py" and path.parent.name == "nucseg_jax":
        return ("python", "-m", "nucseg_jax")
    return ("python", _LAUNCH) if name == _LAUNCH or (PROJECT / _LAUNCH).is_file() else ("nucseg",)


def restart_words() -> tuple[str, ...]:
    """Returns the words with which a process of this program starts another one, such as a row of a sweep."""
    if pathlib.PurePath(sys.argv[0]).name == _LAUNCH:
        return (sys.executable, sys.argv[0])
    return (sys.executable, "-m", "nucseg_jax")


PROGRAM_WORDS = started_as(sys.argv[0] if sys.argv else "")
PROGRAM = " ".join(PROGRAM_WORDS)
