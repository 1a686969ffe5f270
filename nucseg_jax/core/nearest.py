"""Suggestions for names that were misspelt, or files that are missing."""

import difflib
import pathlib
from collections.abc import Iterable, Sequence

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import user_path

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


def find_python_file(text: str, *, kind: str, examples: pathlib.Path) -> pathlib.Path:
    """Finds a Python file by its path or, among those that come with this package, by its name.

    Args:
      text: a path, which ends in .py or holds a folder; or a name such as 'quickstart'.
      kind: what messages call it: 'config' or 'sweep'.
      examples: the folder of those that come with this package.

    Raises:
      UserError: there is no such file; it names the folder and the nearest names.
    """
    path = user_path(text)
    if not text.endswith(".py") and "/" not in text and not text.startswith("~"):
        named = examples / f"{text}.py"
        if named.is_file():
            return named
        raise UserError(
            f"there is no {kind} {text!r} in {examples}{did_you_mean(text, names_in(examples))}",
            expected=f"one of its names ({', '.join(names_in(examples))}) or the path of a Python file",
        )
    if path.is_file():
        return path
    if path.is_dir():
        raise UserError(f"--{kind}={path} is a folder{_question(_python_files(path)[:_MOST])}")
    nearest = _question(_nearest_files(path, examples))
    raise UserError(f"there is no {kind} file {path} in {path.absolute().parent}{nearest}")


def names_in(folder: pathlib.Path) -> list[str]:
    """Returns the names of the configs or sweeps of a folder, sorted; [] where it cannot be read."""
    marks = ("def get_config(", "ROWS =", "def rows_of(")
    files = [pathlib.Path(file) for file in _python_files(folder)]
    return [file.stem for file in files if any(mark in file.read_text(encoding="utf-8") for mark in marks)]


def _nearest_files(path: pathlib.Path, examples: pathlib.Path) -> list[str]:
    """Returns files with similar names, beside the missing one and among the examples, the nearest first."""
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
