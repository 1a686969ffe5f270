"""`predict --inputs`: which images files, folders and globs name."""

import glob
import pathlib
from collections import defaultdict
from collections.abc import Sequence

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import user_path
from nucseg_jax.inference.open_source import ending, stem


def find_inputs(patterns: Sequence[str], out: pathlib.Path) -> list[pathlib.Path]:
    """The images that files, folders and globs name, each once, in order.

    Raises:
      UserError: a pattern that names nothing, two images whose outputs would have one name, images in `out`.
    """
    found: dict[pathlib.Path, pathlib.Path] = {}
    for pattern in patterns:
        matches = _matches(user_path(pattern))
        if not matches:
            raise UserError(
                f"--inputs={pattern} names no image",
                expected="files, folders, or globs such as 'slides/*.svs'",
            )
        found.update((path.resolve(), path) for path in matches)
    by_stem = defaultdict(list)
    for path in found.values():
        by_stem[stem(path).casefold()].append(str(path))
    for same in by_stem.values():
        if len(same) > 1:
            raise UserError(
                f"{' and '.join(same)} would be written under one name",
                expected="inputs whose names differ before their endings",
                advice="predict them into different folders",
            )
    if any(path.parent == out.resolve() for path in found):
        raise UserError(
            f"there are inputs in {out}, where outputs go",
            advice="choose another --out, or the outputs would be inputs the next time",
        )
    return list(found.values())


def _matches(pattern: pathlib.Path) -> list[pathlib.Path]:
    if pattern.is_dir() and ending(pattern) is None:
        return sorted(path for path in pattern.iterdir() if ending(path) is not None)
    if pattern.exists() or not glob.has_magic(str(pattern)):
        return [pattern]
    paths = (pathlib.Path(name) for name in sorted(glob.glob(str(pattern), recursive=True)))
    return [path for path in paths if path.is_file() or ending(path) is not None]
