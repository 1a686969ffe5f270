"""`predict --inputs`: the images that files, folders and globs name."""

import fnmatch
import glob
import os
import pathlib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.paths import user_path
from nucseg_jax.images.open_source import FOLDER_ENDINGS, ending
from nucseg_jax.images.regular_files import is_companion
from nucseg_jax.inference.output.output_files import output_stem

_LONGEST_PATH = 4096


def split_inputs(text: str) -> list[str]:
    """Splits a list of paths and globs at its commas, but not inside a path that exists, or a glob that matches.

    >>> split_inputs("slides/*.svs, a.png")
    ['slides/*.svs', 'a.png']
    """
    names, parts = [], text.split(",")
    while parts:
        joined = _joined(parts)
        found = next((count for count, name in joined.items() if name and _exists(name)), None)
        if found is None and not _is_glob_that_matches(joined[1]):
            found = next((count for count, name in joined.items() if _is_glob_that_matches(name)), None)
        count = found or 1
        names.append(joined[count])
        parts = parts[count:]
    return [name for name in names if name]


def _joined(parts: Sequence[str]) -> dict[int, str]:
    """Returns the first parts joined by their commas, by their count; the longest first, at most a path's length."""
    joined, length = {}, 0
    for count, part in enumerate(parts, start=1):
        length += len(part) + 1
        if count > 1 and length > _LONGEST_PATH:
            break
        joined[count] = ",".join(parts[:count]).strip()
    return dict(reversed(joined.items()))


def find_inputs(patterns: Sequence[str], out: pathlib.Path) -> list[pathlib.Path]:
    """Finds the images that files, folders and globs name, each once, in order.

    A part of a pattern that exists literally is that file or folder, also with brackets in it. What macOS, Windows
    or a NAS keeps beside images (`regular_files.is_companion`) is ignored, unless a pattern names it in full.

    Raises:
      UserError: a pattern that names nothing, two images whose outputs would have one name, images in `out`.
    """
    found = find_files("--inputs", patterns, noun="image", example="slides/*.svs", ending_of=ending)
    by_stem = defaultdict(list)
    for path in found.values():
        # File systems may take letters of either case, and either way to write an accent, for one.
        by_stem[unicodedata.normalize("NFC", output_stem(path)).casefold()].append(str(path))
    for same in by_stem.values():
        if len(same) > 1:
            raise UserError(
                f"{' and '.join(same)} would be written under one name",
                expected="inputs whose names differ before their endings",
                advice="predict them into different folders",
            )
    if any(os.path.dirname(path) == os.path.realpath(out) for path in found):
        raise UserError(
            f"there are inputs in {out}, where outputs go",
            advice="choose another --out, or the outputs would be inputs the next time",
        )
    return list(found.values())


def find_files(
    flag: str,
    patterns: Sequence[str],
    *,
    noun: str,
    example: str,
    ending_of: Callable[[pathlib.Path], str | None],
) -> dict[str, pathlib.Path]:
    """Finds what files, folders and globs name, in order, by the path that links lead to.

    Args:
      flag: whose value they are, for messages.
      patterns: files, folders or globs.
      noun: what they should name, for messages.
      example: of a glob, for messages.
      ending_of: tells which files of a folder count; None for one that does not.

    Raises:
      UserError: a pattern that names nothing, or a folder that cannot be listed.
    """
    found: dict[str, pathlib.Path] = {}
    for pattern in patterns:
        try:
            matches = _matches(pattern, ending_of)
        except OSError as error:
            raise UserError(f"{flag}={pattern} cannot be listed: {reason_of(error)}") from None
        if not matches:
            raise UserError(
                f"{flag}={pattern} names no {noun}", expected=f"files, folders, or globs such as {example!r}"
            )
        found.update((os.path.realpath(path), path) for path in matches)
    return found


def _exists(name: str) -> bool:
    """Returns True for whatever has this name, a broken link included; False for a name that none can have."""
    return os.path.lexists(user_path(name))


def _is_glob_that_matches(name: str) -> bool:
    try:
        return glob.has_magic(name) and bool(_matches(name))
    except OSError:
        return False


def _matches(pattern: str, ending_of: Callable[[pathlib.Path], str | None] = ending) -> list[pathlib.Path]:
    path = user_path(pattern)
    if os.path.isdir(path) and ending(path) not in FOLDER_ENDINGS:
        return [each for each in _entries(path) if ending_of(each) is not None]
    if os.path.lexists(path) or not glob.has_magic(str(path)):
        return [path]
    found = dict.fromkeys(_expanded(pathlib.Path(path.anchor), path.parts[bool(path.anchor) :]))
    return [each for each in found if os.path.isfile(each) or ending_of(each) is not None]


def _entries(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.iterdir() if not is_companion(path.name))


def _entries_if_readable(folder: pathlib.Path) -> list[pathlib.Path]:
    try:
        return _entries(folder)
    except OSError:
        return []


def _expanded(folder: pathlib.Path, parts: Sequence[str]) -> Iterator[pathlib.Path]:
    """Returns paths below a folder that match the parts of a glob, in order; parts that exist literally are no globs.

    As in the standard library's `glob`, `**` is any number of folders, links followed, and `*` takes no hidden names.
    Unlike there, links in a circle end, and companions do not match.
    """
    if not parts:
        yield folder
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        for each in _folders_below(folder):
            yield from _expanded(each, rest) if rest else _entries_if_readable(each)
    elif _exists(os.fspath(folder / part)):
        yield from _expanded(folder / part, rest)
    elif glob.has_magic(part) and os.path.isdir(folder):
        for entry in _entries_if_readable(folder):
            if fnmatch.fnmatchcase(entry.name, part) and (part[0] == "." or entry.name[0] != "."):
                yield from _expanded(entry, rest)


def _folders_below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a folder and those below it that are not hidden, each once whatever links lead to it; no images."""
    seen: set[str] = set()
    waiting = [folder]
    while waiting:
        each = waiting.pop()
        real = os.path.realpath(each)
        if real in seen or not os.path.isdir(each):
            continue
        seen.add(real)
        yield each
        below = [path for path in _entries_if_readable(each) if not path.name.startswith(".")]
        waiting += [
            path for path in reversed(below) if os.path.isdir(path) and ending(path) not in FOLDER_ENDINGS
        ]
