"""Finds the nine arrays of a PanNuke release in a folder: images, masks and types of folds 1, 2 and 3.

Worked examples of what is found, all below the folder that is named:

    Fold 1/images/fold1/images.npy            the official archives, unpacked
    fold_1.zip > Fold 1/masks/fold1/masks.npy the official archives, as downloaded
    Part 1/Images/types.npy                   the copy on Kaggle
    my copy/fold_1/MASKS.NPY                  any folders: names count without case, the fold is the number in
                                              the innermost folder or zip called fold, part, or a number
"""

import dataclasses
import os
import pathlib
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import vocabulary
from nucseg_jax.data.sources.pannuke.npy import Member

ARRAYS = ("images", "masks", "types")
# Other ways to store arrays, which are named where an array is missing.
_OTHER_FORMATS = (".npz", ".h5", ".hdf5", ".tif", ".tiff", ".zarr", ".mat", ".png", ".pkl", ".pt", ".parquet")
_FOLD_NUMBER = re.compile(r"(?:fold|part)[ _-]*(\d+)|^\W*(\d+)\W*$", re.IGNORECASE)
_ADVICE = (
    "name the folder that holds fold_1.zip, fold_2.zip and fold_3.zip, or the folders `Fold 1`, `Fold 2` and"
    " `Fold 3` unpacked from them, as data.release_dir"
)


@dataclasses.dataclass(frozen=True)
class FoldFiles:
    """Places of the three arrays of one fold."""

    fold: int
    images: Member
    masks: Member
    types: Member

    @property
    def paths(self) -> tuple[pathlib.Path, ...]:
        """The files on disk that hold them, each once."""
        return tuple(dict.fromkeys(member.path for member in (self.images, self.masks, self.types)))


def find(release_dir: pathlib.Path) -> tuple[FoldFiles, ...]:
    """Finds the arrays of every fold.

    A plain file is preferred to the same array in a zip, so that archives may lie beside what was unpacked
    from them; zips are not even opened where every array lies there as a file.

    Args:
      release_dir: the folder, searched with all below it.

    Returns:
      The files of folds 1, 2, 3, in this order.

    Raises:
      UserError: the folder is not there, an array is missing or is there twice, or a zip cannot be opened.
    """
    if not release_dir.is_dir():
        raise UserError(
            f"The release folder {release_dir} is {'a file' if release_dir.exists() else 'not there'}.",
            expected="a folder that holds the PanNuke release",
            advice=_ADVICE,
        )
    files = sorted(_walk(release_dir))
    found = _by_fold(((path.relative_to(release_dir), Member(path)) for path in files), release_dir)
    if any((fold, array) not in found for fold in vocabulary.FOLDS for array in ARRAYS):
        zips = [path for path in files if path.suffix.casefold() == ".zip"]
        found = {**_by_fold(_zip_members(zips, release_dir), release_dir), **found}
    missing = [
        f"{array}.npy of fold {fold}"
        for fold in vocabulary.FOLDS
        for array in ARRAYS
        if (fold, array) not in found
    ]
    if missing:
        others = _in_other_formats(files, release_dir)
        advice = (
            "save each array by itself as .npy: numpy.save('Fold 1/images.npy', images), and so on"
            if others
            else _ADVICE
        )
        if not found:
            raise UserError(
                f"No array of the release was found in {release_dir}, in no folder below it and in no zip file."
                + others,
                expected="images.npy, masks.npy and types.npy of folds 1, 2 and 3",
                advice=advice,
            )
        there = [f"fold {fold}: {member}" for (fold, _), member in sorted(found.items())]
        raise UserError(
            f"The release in {release_dir} is not complete. Not found: {', '.join(missing)}.\n"
            "Found:\n  " + "\n  ".join(there) + others,
            expected="images.npy, masks.npy and types.npy of folds 1, 2 and 3",
            advice=advice,
        )
    return tuple(FoldFiles(fold, *(found[fold, array] for array in ARRAYS)) for fold in vocabulary.FOLDS)


def _in_other_formats(files: Iterable[pathlib.Path], release_dir: pathlib.Path) -> str:
    """Names the first files of other formats that may hold what is missing; empty where there are none."""
    found: dict[pathlib.Path, str] = {}
    for path in files:
        relative = path.relative_to(release_dir)
        # A Zarr array is a folder of many files.
        for place in (relative, *relative.parents):
            if place.suffix.casefold() in _OTHER_FORMATS:
                found[place] = place.suffix
    if not found:
        return ""
    named = ", ".join(map(str, list(found)[:3])) + (f" and {len(found) - 3:,} more" if len(found) > 3 else "")
    kinds = " and ".join(sorted({suffix.casefold() for suffix in found.values()}))
    return f"\nFiles of other kinds ({kinds}) are not read: {named}."


def _walk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """All files below a folder; links to folders are followed, each folder once."""
    seen: set[str] = set()
    for where, inner, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        yield from (pathlib.Path(where, name) for name in names)


def _zip_members(
    zips: Iterable[pathlib.Path], release_dir: pathlib.Path
) -> Iterator[tuple[pathlib.PurePath, Member]]:
    for path in zips:
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, OSError) as error:
            raise UserError(
                f"{path} cannot be opened as a zip file: {error}. It is {path.stat().st_size:,} bytes long.",
                expected="a whole zip file",
                advice="copy or download that file again; a download that stopped early looks like this",
            ) from error
        for name in names:
            yield path.relative_to(release_dir) / name, Member(path, name)


def _by_fold(
    candidates: Iterable[tuple[pathlib.PurePath, Member]], release_dir: pathlib.Path
) -> Mapping[tuple[int, str], Member]:
    """Sorts arrays by fold and name; anything else is passed over."""
    found: dict[tuple[int, str], Member] = {}
    for relative, member in candidates:
        array, suffix = relative.stem.casefold(), relative.suffix.casefold()
        if suffix != ".npy" or array not in ARRAYS:
            continue
        fold = _fold_number(relative)
        if fold not in vocabulary.FOLDS:
            raise UserError(
                f"{member} belongs to {'no fold' if fold is None else f'fold {fold}'}.",
                expected="a folder or zip above it called fold or part with the number 1, 2 or 3",
                advice="rename its folder, or move what is not of the release elsewhere",
            )
        if (fold, array) in found:
            raise UserError(
                f"{array}.npy of fold {fold} is in {release_dir} twice: {found[fold, array]} and {member}.",
                expected="one of each",
                advice="name the folder of one release, or move the other elsewhere",
            )
        found[fold, array] = member
    return found


def _fold_number(relative: pathlib.PurePath) -> int | None:
    for part in reversed(relative.parts[:-1]):
        if match := _FOLD_NUMBER.search(part):
            return int(match[1] or match[2])
    return None
