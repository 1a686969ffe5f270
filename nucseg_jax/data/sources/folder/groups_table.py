"""Group and division of each image: from groups.csv, from `groups` of dataset.yaml, or each image a group of its own.

image,group,division
a.png,patient1,train
b,patient2,test
"""

import dataclasses
import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.data.csv_columns import read_columns
from nucseg_jax.data.sources.folder.layout import (
    DESCRIPTION,
    ImageFiles,
    image_stem,
    key_of,
    listed,
    require_one_line,
)
from nucseg_jax.data.sources.folder.layout import GROUPS as FILE_NAME

_IMAGE, _GROUP, _DIVISION = "image", "group", "division"


@dataclasses.dataclass(frozen=True)
class Grouping:
    """Groups and divisions of images.

    Attributes:
      group: by name of the image file.
      division: likewise; '' everywhere where there are none.
      described: sentences for a person.
    """

    group: Mapping[str, str]
    division: Mapping[str, str]
    described: tuple[str, ...] = ()


def read_grouping(folder: pathlib.Path, images: Sequence[ImageFiles], groups: Mapping[str, str]) -> Grouping:
    """Finds the group and division of each image.

    Args:
      folder: may hold a groups.csv, whose `image` is a name with or without its ending.
      images: all of the folder.
      groups: of dataset.yaml; empty = none.

    Raises:
      UserError: the table cannot be read, names an image twice or one that is not there, lacks one, spells a group in
        two ways, or groups stand in both files.
    """
    path = folder / FILE_NAME
    columns = _read_columns(path) if path.exists() or path.is_symlink() else {}
    if groups and _GROUP in columns:
        raise UserError(
            f"both {folder / DESCRIPTION} and {path} give groups",
            expected="groups in one place",
            advice="remove one",
        )
    names = [each.name for each in images]
    division = dict.fromkeys(names, "")
    if _DIVISION in columns:
        division = _of_images(path, names, columns[_IMAGE], columns[_DIVISION])
    if _GROUP in columns:
        group, told = _of_images(path, names, columns[_IMAGE], columns[_GROUP]), f" ({FILE_NAME})"
    elif groups:
        source = folder / DESCRIPTION
        group, told = _of_images(source, names, list(groups), list(groups.values())), f" ({DESCRIPTION})"
    else:
        group, told = {name: name for name in names}, ""
    return Grouping(group, division, _described(group, division, told))


def _described(group: Mapping[str, str], division: Mapping[str, str], told: str) -> tuple[str, ...]:
    sizes = Counter(group.values())
    if told:
        each = [f"{name} ({counted(size, 'image')})" for name, size in sorted(sizes.items())]
        lines = [f"{counted(len(sizes), 'group')}{told}: {listed(each)}"]
    else:
        lines = ["each image is a group of its own: neither dataset.yaml nor groups.csv gives groups"]
    parts = Counter(division.values())
    if set(parts) != {""}:
        each = [f"{name} ({counted(size, 'image')})" for name, size in sorted(parts.items())]
        lines.append(f"{counted(len(parts), 'division')} ({FILE_NAME}): {listed(each)}")
        on_both = sorted(
            name for name in sizes if len({division[image] for image in group if group[image] == name}) > 1
        )
        if on_both:
            lines.append(f"in more than one division: {counted(len(on_both), 'group')}: {listed(on_both)}")
    return tuple(lines)


def _read_columns(path: pathlib.Path) -> dict[str, list[str]]:
    """Columns that count, by their names."""
    rows = read_columns(path, [_IMAGE], [_GROUP, _DIVISION])
    names = list(rows[0][1]) if rows else [_IMAGE]
    if names == [_IMAGE]:
        raise UserError(
            f"{path} gives no group and no division",
            expected=f"{_IMAGE}, with {_GROUP}, {_DIVISION} or both, and a row for each image",
        )
    for line, cells in rows:
        empty = [name for name in names if not cells[name]]
        if empty:
            raise UserError(f"{path}, line {line} has no {empty[0]}", expected="a value in every row")
    return {name: [cells[name] for _, cells in rows] for name in names}


def _of_images(
    path: pathlib.Path, names: Sequence[str], entries: Sequence[str], values: Sequence[str]
) -> dict[str, str]:
    """The value of each image, by its name; entries name it with or without its ending."""
    by_key = {key_of(str(image_stem(pathlib.Path(name)))): name for name in names}
    # A whole name goes before the stem of another: 'a.png' beside 'a.png.tif'.
    by_key |= {key_of(name): name for name in names}
    found: dict[str, str] = {}
    for entry, value in zip(entries, values, strict=True):
        name = by_key.get(key_of(entry))
        if name is None:
            raise UserError(
                f"{path}: there is no image {entry[:80]!r}{did_you_mean(entry[:80], names)}",
                expected="the name of a file in images/, with or without its ending",
            )
        if name in found:
            raise UserError(
                f"{path}: {name} stands there twice: {found[name]!r} and {value!r}",
                expected="each image once",
            )
        found[name] = value
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(
            f"{path} lacks {counted(len(missing), 'image')}: {listed(missing)}",
            expected="every image of the folder",
        )
    _require_plain(path, values)
    return found


def _require_plain(path: pathlib.Path, values: Sequence[str]) -> None:
    """Raises UserError for names that differ in case, spaces or Unicode form alone, and for more lines than one.

    A group that is spelt in two ways, such as a patient, could be on two sides.
    """
    first: dict[str, str] = {}
    for value in values:
        require_one_line(value, f"{path}: a group or division")
        other = first.setdefault(" ".join(key_of(value).split()), value)
        if other != value:
            raise UserError(
                f"{path}: {other!a} and {value!a} are the same name but for case, spaces or Unicode form",
                expected="one spelling for one group or division",
                advice="write both in the same way, or give them names that differ in letters or digits",
            )
