"""Lines for a terminal: labelled text and commands to copy, within 80 columns where no single word is longer."""

import shlex
import textwrap
from collections.abc import Sequence

COLUMNS = 80
LABEL_COLUMNS = 10


def labelled(label: str, text: str, *, columns: int = LABEL_COLUMNS) -> str:
    """Returns text behind a label, wrapped between words and aligned; no newline at the end.

    Args:
      label: shorter than `columns`; '' for more text that belongs to the label above.
      text: one paragraph.
      columns: where the text begins.

    >>> print(labelled("devices", "1 x cpu"))
    devices   1 x cpu
    """
    return textwrap.fill(
        text,
        COLUMNS,
        initial_indent=f"{label:<{columns}}",
        subsequent_indent=" " * columns,
        break_long_words=False,
        break_on_hyphens=False,
    )


def labelled_command(label: str, words: Sequence[str], *, columns: int = LABEL_COLUMNS) -> str:
    r"""Returns a shell command behind a label, continued by backslashes where it is long.

    Args:
      label: as in `labelled`.
      words: arguments; quoted where a shell needs that.
      columns: as in `labelled`.

    >>> print(labelled_command("report", ["python", "launch.py", "report", "--runs=runs/*"]))
    report    python launch.py report --runs='runs/*'
    """
    first, *others = map(_quoted, words)
    lines = [f"{label:<{columns}}{first}"]
    for word in others:
        # Two columns for a space and the backslash.
        if len(lines[-1]) + 1 + len(word) + 2 <= COLUMNS:
            lines[-1] += f" {word}"
        else:
            lines[-1] += " \\"
            lines.append(" " * (columns + 2) + word)
    return "\n".join(lines)


def _quoted(word: str) -> str:
    """Returns a word as a shell reads it; of --NAME=VALUE the value alone is quoted, as people type it."""
    name, equals, value = word.partition("=")
    is_flag = bool(equals) and shlex.quote(name) == name
    return f"{name}={shlex.quote(value)}" if is_flag and value else shlex.quote(word)
