"""Protocols by which a data set is split: its authors' own division, folds of whole groups, folds of a table."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.group_folds import deal_units
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.split_sides import (
    TEST,
    TRAIN,
    VALIDATION,
    group_names,
    lists_of,
    require_groups_apart,
    shortened,
    with_validation,
)
from nucseg_jax.data.split_table import read_table
from nucseg_jax.data.splits import SPLIT_NAMES, Splits, official_splits

_K_FOLD = (
    "choose --config.split.protocol=k_fold, which divides whole groups, or table, which reads a CSV file"
)


def authors_splits(
    index: PatchIndex, info: DatasetInfo, *, number: int, seed: int, allow_shared_groups: bool = False
) -> Splits:
    """Divides a data set as its authors did: PanNuke by its rotation of folds, others by train, validation and test.

    Args:
      index, info: of the data set. Without a validation division one is drawn from the training groups.
      number: of PanNuke's rotation; 1 for all others.
      seed: of the validation groups.
      allow_shared_groups: whether patches of one group may stand on two sides (PanNuke's tissues always do).

    Raises:
      UserError: the authors named no training or test division, or others.
    """
    if index.division == tuple(f"fold{fold}" for fold in index.fold) and set(index.fold) == {1, 2, 3}:
        return official_splits(index.fold_sizes, number=number)
    named = sorted(set(index.division) - {""})
    if set(named) not in ({"train", "test"}, set(SPLIT_NAMES)):
        found = f"the divisions {', '.join(named)}" if named else "no divisions"
        raise UserError(
            f"split.protocol is official, and the patches of the data set {info.name} have {found}",
            expected="train and test, or train, validation and test",
            advice=_K_FOLD,
        )
    if "" in index.division:
        without = sorted({index.image[at] for at, name in enumerate(index.division) if not name})
        raise UserError(
            f"{counted(index.division.count(''), 'patch')} of the data set {info.name} have no division:"
            f" {shortened(without)}",
            expected="one of " + ", ".join(named) + " for each",
            advice="state it and prepare again, or " + _K_FOLD,
        )
    if number != 1:
        raise UserError(
            f"split.number is {number}, and the authors of the data set {info.name} divided it once",
            expected="1",
            advice="set --config.split.number=1, or " + _K_FOLD,
        )
    side = np.array([SPLIT_NAMES.index(name) for name in index.division], np.int8)
    if not allow_shared_groups:
        require_groups_apart(index, info, side, where=f"the authors' division of {info.name}")
    return _completed(index, info, side, seed=seed)


def k_fold_splits(index: PatchIndex, info: DatasetInfo, *, folds: int, number: int, seed: int) -> Splits:
    """Divides whole groups into folds: one tests, the next one validates, the rest trains.

    Args:
      index, info: of the data set.
      folds: how many; of two, validation is drawn from the training one. 0 = each group is a fold, in the order of
        names.
      number: of the fold that tests, from 1.
      seed: of the folds.

    Raises:
      UserError: more folds than groups, a fold that there is not, or groups are not known.
    """
    names = group_names(index, info)
    groups = sorted(set(names))
    if folds == 1 or folds > len(groups) or len(groups) < 2:
        raise UserError(
            f"split.folds is {folds}, and the data set {info.name} has {counted(len(groups), info.group_noun)}",
            expected=f"{'2' if len(groups) == 2 else f'2 to {len(groups)}'}, or 0 for each {info.group_noun} by itself"
            if len(groups) > 1
            else f"2 {info.group_noun}s at least, since none may be on two sides",
            advice="set --config.split.folds, or divide by --config.split.protocol=table",
        )
    fold_names = [f"fold {each + 1}" for each in range(folds)] if folds else groups
    fold = deal_units(names, folds, seed=seed) if folds else np.asarray(np.searchsorted(groups, names)) + 1
    return _rotated(index, info, fold, fold_names, number=number, seed=seed)


def table_splits(
    index: PatchIndex,
    info: DatasetInfo,
    *,
    table: pathlib.Path,
    column: str,
    number: int,
    seed: int,
    allow_shared_groups: bool = False,
) -> Splits:
    """Divides a data set as a column of a CSV file does.

    Args:
      index, info: of the data set.
      table: see `read_table`.
      column: its values are train, validation and test (then `number` is 1), or names of folds, which rotate as in
        `k_fold_splits` in the order of numbers, else of names.
      number: of the fold that tests, from 1.
      seed: of the validation groups, where none are named.
      allow_shared_groups: whether patches of one group may stand on two sides.

    Raises:
      UserError: every fault of the file, by its line.
    """
    values = read_table(table, column, index, info)
    where = f"column {column} of {table}"
    if set(values) <= set(SPLIT_NAMES):
        if number != 1:
            raise UserError(
                f"split.number is {number}, and {where} names one division: {', '.join(sorted(set(values)))}",
                expected="1",
                advice="set --config.split.number=1",
            )
        side = np.array([SPLIT_NAMES.index(value) for value in values], np.int8)
        if not allow_shared_groups and index.group is not None:
            require_groups_apart(index, info, side, where=where)
        return _completed(index, info, side, seed=seed)
    names = sorted(
        set(values), key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
    )
    if len(names) < 2:
        raise UserError(f"{where} has one fold, {names[0]}", expected="two folds at least")
    fold = np.array([1 + names.index(value) for value in values], np.int32)
    folds = [f"fold {name}" for name in names]
    return _rotated(
        index, info, fold, folds, number=number, seed=seed, refused_in="" if allow_shared_groups else where
    )


def _completed(index: PatchIndex, info: DatasetInfo, side: np.ndarray, *, seed: int) -> Splits:
    """Lists of a division, with a validation side drawn where it has none but trains."""
    if np.any(side == VALIDATION) or not np.any(side == TRAIN):
        return lists_of(index, side)
    return with_validation(index, info, side, seed=seed)


def _rotated(
    index: PatchIndex,
    info: DatasetInfo,
    fold: np.ndarray,
    names: Sequence[str],
    *,
    number: int,
    seed: int,
    refused_in: str = "",
) -> Splits:
    """Lists from folds 1..F with these names; a group on two sides is refused if `refused_in` names a place for it."""
    if not 1 <= number <= len(names):
        raise UserError(
            f"split.number is {number}, and the data set {info.name} is divided into {counted(len(names), 'fold')}",
            expected=f"1 to {len(names)}",
            advice="set --config.split.number",
        )
    side: np.ndarray = np.full(len(fold), TRAIN, np.int8)
    side[fold == number] = TEST
    validation = number % len(names) + 1
    if len(names) > 2:
        side[fold == validation] = VALIDATION
    if refused_in and index.group is not None:
        require_groups_apart(index, info, side, where=refused_in)
    test = f"test is {names[number - 1]} of {len(names)}"
    if len(names) > 2:
        return lists_of(index, side, (f"{test}, validation {names[validation - 1]}",))
    splits = with_validation(index, info, side, seed=seed)
    return dataclasses.replace(splits, notes=(test, *splits.notes))
