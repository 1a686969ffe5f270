"""Sides of a split: from a side for every patch to lists, and what must not stand on two of them.

A side array is int8 [P], one entry for each patch of an index: position in `SPLIT_NAMES`.
"""

from collections.abc import Sequence

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.group_folds import deal_units
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.splits import SPLIT_NAMES, Splits

TRAIN, VALIDATION, TEST = range(3)
# A validation side that nobody named takes one in so many.
_VALIDATION_FOLDS = 5
# Lists in messages end here.
_SHOWN = 5


def group_names(index: PatchIndex, info: DatasetInfo) -> np.ndarray:
    """Returns the group of every patch, str [P].

    Raises:
      UserError: the data set was prepared when groups were not kept.
    """
    if index.group is None:
        raise UserError(
            f"the prepared data set {info.name} does not hold the {info.group_noun} of each patch: an earlier"
            " version prepared it",
            expected=f"a data set that was prepared by this version, for a split by {info.group_noun}",
            advice="prepare it again with another --config.data.dir, or choose --config.split.protocol=official",
        )
    names: np.ndarray = np.asarray(info.groups, dtype=object)[index.group].astype(str)
    return names


def lists_of(index: PatchIndex, side: np.ndarray, notes: Sequence[str] = ()) -> Splits:
    """Returns the patches of each side in the order of the index."""
    pairs = np.stack([index.fold, index.row], axis=1).astype(np.int32)
    train, validation, test = (pairs[side == number] for number in (TRAIN, VALIDATION, TEST))
    return Splits(train, validation, test, notes=tuple(notes))


def with_validation(index: PatchIndex, info: DatasetInfo, side: np.ndarray, *, seed: int) -> Splits:
    """Moves about a fifth of the training side to validation, whole groups of it.

    Of one group whole images are moved, of one image patches.

    Args:
      index, info: of the data set.
      side: without a validation side; not changed.
      seed: of the choice.
    """
    is_training = side == TRAIN
    unit, noun = group_names(index, info)[is_training], info.group_noun
    if len(set(unit)) < 2:
        unit, noun = np.asarray(index.image, dtype=str)[is_training], "image"
    if len(set(unit)) < 2:
        unit, noun = np.arange(len(unit)), "patch"
    moved = side.copy()
    count = len(set(unit.tolist()))
    if count < 2:
        raise UserError(
            f"{counted(int(is_training.sum()), 'patch')} cannot be divided in training and validation",
            expected="2 at least",
        )
    fold = deal_units(unit, min(_VALIDATION_FOLDS, count), seed=seed)
    sizes = np.bincount(fold)[1:]
    nearest = 1 + int(np.argmin(np.abs(sizes * _VALIDATION_FOLDS - len(unit))))
    moved[np.flatnonzero(is_training)[fold == nearest]] = VALIDATION
    chosen = sorted(set(unit[fold == nearest].tolist()))
    names = f": {shortened(chosen)}" if noun != "patch" else ""
    note = (
        f"validation is {counted(len(chosen), noun)} of the {count:,} that would train, drawn by split.seed={seed}"
        f"{names}"
    )
    return lists_of(index, moved, (note,))


def require_groups_apart(index: PatchIndex, info: DatasetInfo, side: np.ndarray, *, where: str) -> None:
    """Raises UserError if patches of one group stand on two sides.

    Args:
      index, info: of the data set.
      side: of each patch.
      where: what divides them so, for the message.
    """
    names = group_names(index, info)
    shared = [name for name in sorted(set(names)) if len(set(side[names == name].tolist())) > 1]
    if not shared:
        return
    told = []
    for name in shared[:_SHOWN]:
        counts = {SPLIT_NAMES[number]: int(np.sum(side[names == name] == number)) for number in range(3)}
        told.append(f"{name} ({', '.join(f'{split} {count:,}' for split, count in counts.items() if count)})")
    more = f", and {len(shared) - _SHOWN:,} more" if len(shared) > _SHOWN else ""
    raise UserError(
        f"{where} puts patches of one {info.group_noun} on two sides: {', '.join(told)}{more}",
        expected=f"each {info.group_noun} on one side, so that scores are of what training never saw",
        advice="choose --config.split.protocol=k_fold, which keeps them whole, or add"
        " --config.split.allow_shared_groups=True",
    )


def require_patches_alone(index: PatchIndex, info: DatasetInfo, *, allow_shared_groups: bool) -> None:
    """Raises UserError if patches were cut from images that are known, so that chance would put one on two sides.

    Of PanNuke they are not, and the paper drew its patches so.
    """
    if index.has_places and not allow_shared_groups:
        raise UserError(
            f"split.protocol is paper, which draws single patches, and those of the data set {info.name} are pieces of"
            f" {counted(len(set(index.image)), 'image')}: each would stand on all sides",
            expected=f"each {info.group_noun} on one side, so that scores are of what training never saw",
            advice="choose --config.split.protocol=k_fold, which keeps them whole, or add"
            " --config.split.allow_shared_groups=True",
        )


def groups_by_side(index: PatchIndex, splits: Splits) -> dict[str, int] | None:
    """Returns how many groups each side has patches of; None where groups are not known."""
    if index.group is None:
        return None
    return {name: len(np.unique(index.group[index.positions(getattr(splits, name))])) for name in SPLIT_NAMES}


def images_by_side(index: PatchIndex, splits: Splits) -> dict[str, list[str]]:
    """Returns the names of the images that each side has patches of; none where images are not known."""
    if not index.has_places:
        return {}
    return {
        name: sorted({index.image[at] for at in index.positions(getattr(splits, name))})
        for name in SPLIT_NAMES
    }


def require_sides(splits: Splits, names: Sequence[str] = SPLIT_NAMES) -> None:
    """Raises UserError if a side that is used is empty."""
    if all(len(getattr(splits, name)) for name in names):
        return
    sizes = ", ".join(f"{name} {len(getattr(splits, name)):,}" for name in SPLIT_NAMES)
    raise UserError(
        f"the split leaves a side without a patch: {sizes}",
        expected=f"patches to {' and '.join(names)}",
        advice="choose another --config.split.number or --config.split.protocol",
    )


def require_no_near_duplicates(index: PatchIndex, splits: Splits, near_duplicates: np.ndarray) -> None:
    """Raises UserError if two patches that look the same stand on two sides.

    Args:
      index: of the data set.
      splits: its lists.
      near_duplicates: int32 [D, 4], pairs of patches: fold and row of one, fold and row of the other.
    """
    if not len(near_duplicates):
        return
    side = np.full(len(index.fold), -1)
    for number, name in enumerate(SPLIT_NAMES):
        side[index.positions(getattr(splits, name))] = number
    first, second = index.positions(near_duplicates[:, :2]), index.positions(near_duplicates[:, 2:])
    apart = np.flatnonzero((side[first] != side[second]) & (side[first] >= 0) & (side[second] >= 0))
    if not len(apart):
        return
    pairs = [
        " and ".join(f"{_place(index, each)} ({SPLIT_NAMES[side[each]]})" for each in (first[at], second[at]))
        for at in apart[:_SHOWN]
    ]
    more = f"; and {len(apart) - _SHOWN:,} more" if len(apart) > _SHOWN else ""
    raise UserError(
        f"{counted(len(apart), 'pair')} of patches that look the same would stand on two sides of the split:"
        f" {'; '.join(pairs)}{more}",
        expected="a patch and its copies on one side, so that scores are of what training never saw",
        advice="put their images into one group or leave one of them out and prepare again, or add"
        " --config.data.allow_duplicates=True",
    )


def _place(index: PatchIndex, at: int) -> str:
    if index.image[at]:
        return f"{index.image[at]} at row {index.top[at]}, column {index.left[at]}"
    return f"fold {index.fold[at]}, patch {index.row[at]}"


def shortened(names: Sequence[str]) -> str:
    """Joins names for a message: the first few, and how many more there are."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
