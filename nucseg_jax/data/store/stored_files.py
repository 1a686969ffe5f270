"""SHA-256 of a prepared data set's record files: taken when they are written, compared before anything is trained.

The records' own checksums find a flipped bit only when the record is read, and do not find a file that was exchanged
for another whole one.
"""

import concurrent.futures
import hashlib
import pathlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.program import PROGRAM


def digests(folder: pathlib.Path) -> dict[str, str]:
    """SHA-256 in hexadecimal of every record file, by its name.

    Args:
      folder: the data set's folder.
    """
    return digests_of(folder, [path.name for path in sorted(folder.glob("*.array_record*"))])


def digests_of(folder: pathlib.Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 in hexadecimal of some files of a folder, by their names."""
    return {name: _digest(folder / name) for name in names}


def require_as_written(folder: pathlib.Path, written: Mapping[str, str], folds: Collection[int]) -> None:
    """Reads the files of some folds and compares them; one to three seconds a GB and core.

    Args:
      folder: the data set's folder.
      written: what `digests` found when they were written; empty for a data set of before they were taken.
      folds: which to compare.

    Raises:
      UserError: a file is missing, cannot be read, or was altered.
    """
    require_unaltered(
        folder, written, [name for name in written if any(f"-fold{fold}." in name for fold in folds)]
    )


def require_unaltered(folder: pathlib.Path, written: Mapping[str, str], names: Sequence[str]) -> None:
    """Raises UserError unless the files of these names are as they were written; see `require_as_written`."""
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            found = dict(zip(names, pool.map(lambda name: _digest(folder / name), names), strict=True))
    except OSError as error:
        raise damaged(folder, f"{error.filename} cannot be read ({error.strerror})") from error
    for name in names:
        if found[name] != written[name]:
            raise damaged(
                folder,
                f"{name} was altered after it was written: its SHA-256 is {found[name][:12]}..., and was"
                f" {written[name][:12]}...",
            )


def damaged(folder: pathlib.Path, found: str) -> UserError:
    """Returns the error about a data set that is not as `prepare` wrote it."""
    return UserError(
        f"The data set in {folder} is damaged: {found}.",
        expected="the files as `prepare` wrote them",
        advice=f"remove {folder} and run `{PROGRAM} prepare --config=...` again",
    )


def _digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
