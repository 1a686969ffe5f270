"""Suggestions for names that were misspelt, or files that are not where they were looked for."""

import difflib
import pathlib
from collections.abc import Iterable, Sequence

from nucseg_jax.core.errors import UserError

_MOST = 3


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Returns '; did you mean A or B?' for the choices that are spelt alike; '' without any.

    >>> did_you_mean("trian", ["train", "predict"])
    '; did you mean train?'
    >>> did_you_mean("frobnicate", ["train", "predict"])
    ''
    """
    return _question(difflib.get_close_matches(name, list(choices), _MOST))


def did_you_mean_field(field: str, fields: Iterable[str]) -> str:
    """Returns the same for a config field: of this name in another section, else spelt alike in its own section.

    Args:
      field: 'section.field' as it was written.
      fields: those that there are.

    >>> did_you_mean_field("train.l2", ["train.lr", "loss.l2"])
    '; did you mean loss.l2?'
    >>> did_you_mean_field("trian.lr", ["train.lr", "loss.l2"])
    '; did you mean train.lr?'
    >>> did_you_mean_field("train.lrr", ["train.lr", "train.store"])
    '; did you mean train.lr?'
    """
    known = list(fields)
    section, _, name = field.partition(".")
    elsewhere = [other for other in known if other.partition(".")[2] == name]
    siblings = [other.partition(".")[2] for other in known if other.partition(".")[0] == section]
    alike = [f"{section}.{other}" for other in difflib.get_close_matches(name, siblings, _MOST)]
    return _question(elsewhere[:_MOST]) or _question(alike) or did_you_mean(field, known)


def require_python_file(path: pathlib.Path, *, kind: str, examples: pathlib.Path) -> None:
    """Raises UserError unless a Python file is there, with the names that are nearest.

    Args:
      path: as it was given, relative to the current folder.
      kind: what messages call it, such as 'config file'.
      examples: a folder of this project that holds such files; it need not exist.
    """
    if path.is_file():
        return
    if path.is_dir():
        raise UserError(f"--{kind.split()[0]}={path} is a folder{_question(_python_files(path)[:_MOST])}")
    nearest = _question(_nearest_files(path, examples))
    raise UserError(f"there is no {kind} {path} in {path.absolute().parent}{nearest}")


def _nearest_files(path: pathlib.Path, examples: pathlib.Path) -> list[str]:
    """Files beside the one that is missing and among the examples, alike in name, the nearest first."""
    by_place = {
        pathlib.Path(name).resolve(): name for name in (*_python_files(examples), *_python_files(path.parent))
    }
    stems = {name: pathlib.Path(name).stem for name in by_place.values()}
    alike = difflib.get_close_matches(path.stem, set(stems.values()), _MOST)
    return [name for stem in alike for name in stems if stems[name] == stem][:_MOST]


def _python_files(folder: pathlib.Path) -> list[str]:
    try:
        files = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    except OSError:
        return []
    return [str(path) for path in files]


def _question(names: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""
