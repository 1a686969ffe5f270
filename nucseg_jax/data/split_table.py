"""Reads which image belongs where from a column of a CSV file.

image,fold
TCGA-18-5592-01Z-00-DX1.tif,1
TCGA-A7-A13E,2
"""

import pathlib

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.data.csv_columns import read_columns
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.splits import SPLIT_NAMES

IMAGE = "image"
# What people write for the three sides; never names of folds.
_LOOKALIKES = {
    *SPLIT_NAMES,
    *("val", "valid", "dev", "tune", "training", "testing", "eval", "holdout", "held-out", "exclude", "none"),
    *("nan", "na", "n/a", "null"),
}
_SHOWN = 10
# More unknown entries than these are counted.
_MOST_SPELLED = 3


def read_table(path: pathlib.Path, column: str, index: PatchIndex, info: DatasetInfo) -> list[str]:
    """Reads the value of every patch.

    An entry of the column `image` is an image's full name, its name without ending, the name of a group, which
    stands for all its images, or the beginning of exactly one image's name, up to a character that is neither a
    letter nor a digit. Each image is covered by exactly one entry. Where images are not known (PanNuke) entries are
    names of groups.

    Args:
      path: a table as `csv_columns` reads it.
      column: with the values: all of train, validation and test, or all others.
      index, info: of the data set.

    Returns:
      A value for each patch of the index.

    Raises:
      UserError: every entry that is unknown, ambiguous or there twice, every image that is missing and every other
        value, with file and line.
    """
    units, unit_of = _units(index, info)
    names = _Names(units, index, info)
    value_of: dict[str, tuple[str, int]] = {}
    advice = "correct the file, or name another by --config.split.table and --config.split.column"
    rows = read_columns(path, (IMAGE, column), advice=advice)
    entries = [(line, cells[IMAGE], _fold_name(cells[column])) for line, cells in rows]
    faults, unknown = [], []
    is_by_side = any(value in SPLIT_NAMES for _, _, value in entries)
    for line, entry, value in entries:
        is_right = value in SPLIT_NAMES if is_by_side else value and value.casefold() not in _LOOKALIKES
        if not is_right:
            expected = "train, validation or test" if is_by_side else "train, validation, test, or a fold"
            faults.append(f"line {line}: {column} is {value!r}, not {expected}")
        found, fault = names.find(entry)
        if fault:
            faults.append(f"line {line}: {fault}")
        if not found and not fault:
            unknown.append((line, entry))
        for unit in found:
            if unit in value_of:
                faults.append(f"line {line}: {unit} stands on line {value_of[unit][1]} too")
            else:
                value_of[unit] = (value, line)
    faults = [*_unknown(unknown, len(entries), names), *faults]
    missing = [unit for unit in units if unit not in value_of]
    faults += [f"{unit} of the data set is missing" for unit in missing]
    if faults:
        more = f"; and {len(faults) - _SHOWN:,} more" if len(faults) > _SHOWN else ""
        raise UserError(
            f"{path} does not divide the data set {info.name}: {'; '.join(faults[:_SHOWN])}{more}",
            expected=f"a line for each {names.noun} of the data set, with train, validation or test, or with its"
            f" fold, in the column {column}",
            advice="correct the file, name another with --config.split.table, prepare the images that are not there, or"
            " divide by --config.split.protocol=k_fold",
        )
    return [value_of[unit][0] for unit in unit_of]


def _units(index: PatchIndex, info: DatasetInfo) -> tuple[list[str], list[str]]:
    """The images of a data set, or its groups where images are not known: the different ones, and each patch's."""
    if index.has_places:
        return sorted(set(index.image)), list(index.image)
    if index.group is None:
        raise UserError(
            f"the prepared data set {info.name} holds neither the image nor the {info.group_noun} of each patch: an"
            " earlier version prepared it",
            expected="a data set that was prepared by this version, for split.protocol=table",
            advice="prepare it again with another --config.data.dir",
        )
    groups = [info.groups[number] for number in index.group]
    return sorted(set(groups)), groups


def _unknown(entries: list[tuple[int, str]], count: int, names: "_Names") -> list[str]:
    """Describes the entries, line and text, that stand for nothing, of `count`: each, or many in one sentence."""
    if len(entries) <= _MOST_SPELLED:
        return [
            f"line {line}: {entry!r} is no image or group of the data set{did_you_mean(entry, names.known)}"
            for line, entry in entries
        ]
    # Images that were not prepared, rather than names that were misspelled.
    listed = ", ".join(repr(entry) for _, entry in entries[:_MOST_SPELLED])
    return [
        f"{len(entries):,} of its {count:,} entries are no image or group of the data set, which has"
        f" {counted(len(names.units), names.noun)}: {listed} and {len(entries) - _MOST_SPELLED:,} more"
    ]


class _Names:
    """Names that an entry may be: images, their stems and beginnings, groups."""

    def __init__(self, units: list[str], index: PatchIndex, info: DatasetInfo):
        self.units = units
        self.noun = "image" if index.has_places else info.group_noun
        self.by_stem: dict[str, list[str]] = {}
        self.by_group: dict[str, list[str]] = {}
        if index.has_places:
            for unit in units:
                self.by_stem.setdefault(unit.rpartition(".")[0] or unit, []).append(unit)
            if index.group is not None:
                pairs = {
                    (info.groups[number], unit) for number, unit in zip(index.group, index.image, strict=True)
                }
                for group, unit in sorted(pairs):
                    self.by_group.setdefault(group, []).append(unit)

    @property
    def known(self) -> list[str]:
        """Names of images, with and without endings, and of groups."""
        return [*self.units, *self.by_stem, *self.by_group]

    def find(self, entry: str) -> tuple[list[str], str]:
        """Returns the units that an entry stands for; none and '' if it is unknown, none and why if it is ambiguous."""
        if entry in self.units:
            return [entry], ""
        meanings = [found for found in (self.by_stem.get(entry), self.by_group.get(entry)) if found]
        begun = [unit for unit in self.units if self._begins(unit, entry)]
        candidates = meanings or ([begun] if begun else [])
        if not candidates:
            return [], ""
        found = candidates[0]
        is_clear = all(each == found for each in candidates) and (
            len(found) == 1 or found == self.by_group.get(entry)
        )
        if is_clear:
            return found, ""
        all_found = sorted({unit for each in candidates for unit in each})
        return (
            [],
            f"{entry!r} may be {' or '.join(all_found[:4])}{' or others' if len(all_found) > 4 else ''}",
        )

    def _begins(self, unit: str, entry: str) -> bool:
        return bool(entry) and unit.startswith(entry) and not unit[len(entry)].isalnum()


def _fold_name(text: str) -> str:
    """Whole numbers as one writes them: spreadsheets make 1.0 or 01 of them; any other text as it is."""
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text
