"""Matches the files of a lab's folder by name.

images/NAME.ext, labels/NAME.ext2; where they exist classes/NAME.ext2 (class maps) and regions/NAME.ext2 (what is
annotated), dataset.yaml and groups.csv. Names are compared without case and in one Unicode form, as file systems may.
"""

import dataclasses
import difflib
import pathlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.data.labels.annotation import LABEL_ENDINGS
from nucseg_jax.images import open_source
from nucseg_jax.images.regular_files import is_companion

FOLDERS = IMAGES, LABELS, CLASSES, REGIONS = "images", "labels", "classes", "regions"
TEXTS = DESCRIPTION, GROUPS = "dataset.yaml", "groups.csv"
_MOST_NAMED = 5
# Likeness of names by `difflib`, from which one is the other misspelt: `class` for `classes`, not `folds.csv` for
# `groups.csv`.
_MISSPELT = 0.8
# Control characters, and separators of lines and paragraphs.
_BREAKS = {"Cc", "Zl", "Zp"}


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """The files of one image.

    Attributes:
      image, label: of the same name but for the ending.
      class_map: beside instance ids; None = there is none.
      regions: what of the image is annotated; None = all of it.
    """

    image: pathlib.Path
    label: pathlib.Path
    class_map: pathlib.Path | None = None
    regions: pathlib.Path | None = None

    @property
    def name(self) -> str:
        """Name of the image file, without folders."""
        return self.image.name

    @property
    def paths(self) -> tuple[pathlib.Path, ...]:
        """All of them."""
        others = (self.class_map, self.regions)
        return (self.image, self.label, *(path for path in others if path is not None))


def find_files(folder: pathlib.Path) -> tuple[list[ImageFiles], tuple[str, ...]]:
    """Finds the images of a folder and the files that belong to each.

    Returns:
      The images in the order of their names; sentences on files that are passed over.

    Raises:
      UserError: images/ or labels/ is missing or empty, holds a folder or two files of one name, an image has no label,
        any other file no image, or an optional folder or file seems to be misspelt.
    """
    images, ignored = _named_files(folder, IMAGES, image_stem)
    labels, ignored_labels = _named_files(folder, LABELS, label_stem)
    if not images:
        raise UserError(
            f"{folder / IMAGES} holds no image", expected="files ending in " + ", ".join(open_source.OPENERS)
        )
    found = {IMAGES: images, LABELS: labels}
    for optional in (CLASSES, REGIONS):
        if (folder / optional).exists():
            found[optional], more = _named_files(folder, optional, label_stem)
            ignored_labels += more
    files = _matched(folder, found, ignored_labels)
    notes = [
        f"passed over, for their {what}: {listed([str(path.relative_to(folder)) for path in paths])}"
        for what, paths in (("names", _unknown_entries(folder)), ("endings", [*ignored, *ignored_labels]))
        if paths
    ]
    return files, tuple(notes)


def _unknown_entries(folder: pathlib.Path) -> list[pathlib.Path]:
    """Entries beside the folders and files that are read.

    Raises:
      UserError: one of them seems to be what is optional and not there.
    """
    absent = [name for name in (CLASSES, REGIONS, *TEXTS) if not (folder / name).exists()]
    unknown = [path for path in visible_entries(folder) if path.name not in (*FOLDERS, *TEXTS)]
    for path in unknown:
        meant = difflib.get_close_matches(path.name.lower(), absent, 1, _MISSPELT)
        if meant:
            raise UserError(
                f"{path} is not read; did you mean {meant[0]}?",
                expected="beside images/ and labels/, if anything, " + ", ".join((CLASSES, REGIONS, *TEXTS)),
                advice="rename it, or move it elsewhere",
            )
    return unknown


def pair_files(
    images: Sequence[pathlib.Path], labels: Sequence[pathlib.Path], folder: pathlib.Path
) -> list[ImageFiles]:
    """Pairs images and labels of one published layout by their names; the same rules as `find_files`.

    Args:
      folder: names them in messages.
    """
    found = {IMAGES: _by_key(images, image_stem), LABELS: _by_key(labels, label_stem)}
    return _matched(folder, found, [])


def key_of(name: str) -> str:
    """The form in which names are compared: one case, accents joined to their letters."""
    return unicodedata.normalize("NFC", name).casefold()


def image_stem(path: pathlib.Path) -> str | None:
    """Name of an image without its ending; None for one that is not read."""
    return None if open_source.ending(path) is None else open_source.stem(path)


def label_stem(path: pathlib.Path) -> str | None:
    """Name of a label without its ending; None for one that is not read."""
    ending = label_ending(path)
    return None if ending is None else path.name[: -len(ending)]


def label_ending(path: pathlib.Path) -> str | None:
    """The ending of a label's name; None for one that is not read."""
    return next((each for each in LABEL_ENDINGS if path.name.lower().endswith(each)), None)


def listed(names: Sequence[str]) -> str:
    """The first few of many names.

    >>> listed(["a", "b"])
    'a, b'
    """
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def visible_entries(folder: pathlib.Path) -> list[pathlib.Path]:
    """Entries of a folder in order, without hidden ones and what systems keep beside a user's files.

    Raises:
      UserError: it is no folder, cannot be listed, or a name in it is not UTF-8 or holds control characters.
    """
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        siblings = [path.name for path in visible_entries(folder.parent)] if folder.parent.is_dir() else []
        raise UserError(f"there is no folder {folder}{did_you_mean(folder.name, siblings)}") from None
    except OSError as error:
        raise UserError(f"{folder} cannot be listed: {reason_of(error)}", expected="a folder") from error
    kept = [path for path in entries if not path.name.startswith(".") and not is_companion(path.name)]
    for path in kept:
        try:
            path.name.encode()
        except UnicodeEncodeError:
            raise UserError(f"{str(path)!a}: the name is not UTF-8", advice="rename it") from None
        require_one_line(path.name, f"the name of a file in {folder}")
    return kept


def require_one_line(text: str, what: str) -> None:
    """Raises UserError for line breaks, tabs and terminals' sequences, which would alter tables and logs.

    Args:
      text: a name.
      what: it names, for messages.
    """
    if any(unicodedata.category(character) in _BREAKS for character in text):
        raise UserError(f"{what} is {text[:80]!a}", expected="no line breaks and other control characters")


def _named_files(
    folder: pathlib.Path, name: str, stem: Callable[[pathlib.Path], str | None]
) -> tuple[dict[str, pathlib.Path], list[pathlib.Path]]:
    """Files of a sub-folder by key, and those whose endings are not read."""
    entries = visible_entries(folder / name)
    for path in entries:
        if path.is_dir() and not (name == IMAGES and _belongs_to_an_image(path)):
            raise UserError(
                f"{path} is a folder",
                expected=f"files in {folder / name}, none in folders below it",
                advice="move the files up; which patient or slide an image is of stands in groups.csv",
            )
    known = [path for path in entries if stem(path) is not None]
    return _by_key(known, stem), [path for path in entries if stem(path) is None and not path.is_dir()]


def _belongs_to_an_image(folder: pathlib.Path) -> bool:
    """Returns True for a folder that is an image (Zarr), or holds the pixels of the .mrxs file beside it."""
    is_image = folder.name.lower().endswith(open_source.FOLDER_ENDINGS)
    return is_image or folder.with_name(f"{folder.name}.mrxs").exists()


def _by_key(
    paths: Sequence[pathlib.Path], stem: Callable[[pathlib.Path], str | None]
) -> dict[str, pathlib.Path]:
    by_key: dict[str, pathlib.Path] = {}
    for path in paths:
        key = key_of(str(stem(path)))
        other = by_key.setdefault(key, path)
        if other is not path:
            raise UserError(
                f"{other} and {path.name} have the same name but for ending or case",
                expected="one file a name",
                advice="remove or rename one of them",
            )
    return by_key


def _matched(
    folder: pathlib.Path,
    found: Mapping[str, Mapping[str, pathlib.Path]],
    unread: Sequence[pathlib.Path],
) -> list[ImageFiles]:
    """Images with what belongs to them; every file must find its image.

    Args:
      found: files by the sub-folder's word and by key.
      unread: labels whose endings are not read, which may be why an image has none.
    """
    images = found[IMAGES]
    # QuPath names its export after the whole name of the image: 'b.tif.geojson'.
    by_whole_name = {key_of(path.name): key for key, path in images.items()}
    of_image: dict[str, dict[str, pathlib.Path]] = {key: {} for key in images}
    problems = []
    for kind, files in found.items():
        if kind == IMAGES:
            continue
        strays = []
        for key, path in files.items():
            image_key = key if key in images else by_whole_name.get(key)
            if image_key is None:
                strays.append(path.name)
            elif kind in of_image[image_key]:
                raise UserError(
                    f"{of_image[image_key][kind]} and {path.name} both belong to {images[image_key].name}",
                    expected="one file an image",
                    advice="remove one of them",
                )
            else:
                of_image[image_key][kind] = path
        if strays:
            problems.append(f"{counted(len(strays), 'file')} of {kind} without an image: {listed(strays)}")
    missing = [images[key].name for key, files in of_image.items() if LABELS not in files]
    if missing:
        problems.append(f"{counted(len(missing), 'image')} without a label: {listed(missing)}")
        if unread:
            problems.append(f"not readable as labels: {listed([path.name for path in unread])}")
    if problems:
        raise UserError(
            f"{folder}: {'; '.join(problems)}",
            expected="a label for each image, of the same name but for its ending, one of "
            + ", ".join(LABEL_ENDINGS),
            advice="rename, add or remove these files; an image without a nucleus has an empty map of ids",
        )
    return [
        ImageFiles(images[key], files[LABELS], files.get(CLASSES), files.get(REGIONS))
        for key, files in sorted(of_image.items(), key=lambda item: images[item[0]].name)
    ]
