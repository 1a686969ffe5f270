"""Splits: lists of the patches that train, validate and test, whose hash names them."""

import dataclasses
import hashlib
import json
import math

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError

SPLIT_NAMES = ("train", "validation", "test")

# PanNuke's three rotations: training, validation and test fold (arXiv:2003.10778, section 4).
OFFICIAL_ROTATIONS = {1: (1, 2, 3), 2: (2, 1, 3), 3: (3, 2, 1)}


@dataclasses.dataclass(frozen=True)
class Splits:
    """Three disjoint lists of patches, each int32 [P, 2] of (fold, row in the fold), in a fixed order.

    Attributes:
      train, validation, test: the lists.
      notes: sentences for a person on how they came about; not part of `as_json` and `digest`.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over the three lists in order; equal digests mean equal splits."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, list[list[int]]]:
        """Lists of [fold, row], by split name."""
        return {name: getattr(self, name).tolist() for name in SPLIT_NAMES}

    @classmethod
    def from_json(cls, lists: dict[str, list[list[int]]]) -> "Splits":
        """The inverse of `as_json`."""
        train, validation, test = (np.asarray(lists[name], np.int32).reshape(-1, 2) for name in SPLIT_NAMES)
        return cls(train, validation, test)


def official_splits(fold_sizes: dict[int, int], *, number: int) -> Splits:
    """Whole folds, rotated as PanNuke's authors do.

    Args:
      fold_sizes: patches in each of the folds 1..3.
      number: 1, 2 or 3.

    Raises:
      UserError: another number.
    """
    if number not in OFFICIAL_ROTATIONS:
        raise UserError(f"split.number is {number}", expected="1, 2 or 3")
    train, validation, test = (
        np.array([(fold, row) for row in range(fold_sizes[fold])], np.int32).reshape(-1, 2)
        for fold in OFFICIAL_ROTATIONS[number]
    )
    return Splits(train, validation, test)


def paper_splits(fold_sizes: dict[int, int], *, seed: int, max_patches: int = 0) -> Splits:
    """The paper's 64/16/20 % by patch, at random: patches of one slide may fall on both sides.

    The counts are those of scikit-learn's train_test_split applied twice: test = ceil(0.2 N), validation =
    ceil(0.2 (N - test)). Which patches the authors left out is not published; here chance decides.

    Args:
      fold_sizes: patches in each stored part.
      seed: of the shuffle.
      max_patches: keep this many of all patches, 0 = all; 6,716 gives the paper's 4,297 / 1,075 / 1,344.

    Raises:
      UserError: more patches asked for than there are, or too few to fill three splits.
    """
    everything = np.array(
        [(fold, row) for fold in sorted(fold_sizes) for row in range(fold_sizes[fold])], np.int32
    )
    if max_patches > len(everything):
        raise UserError(
            f"split.max_patches is {max_patches}, the data set has {counted(len(everything), 'patch')}",
            expected="at most that many, or 0 for all of them",
        )
    shuffled = np.random.default_rng(seed).permutation(everything)[: max_patches or None]
    test = math.ceil(0.2 * len(shuffled))
    validation = math.ceil(0.2 * (len(shuffled) - test))
    if len(shuffled) - test - validation < 1:
        raise UserError(f"{counted(len(shuffled), 'patch')} cannot be split in three", expected="at least 3")
    return Splits(
        train=shuffled[test + validation :],
        validation=shuffled[test : test + validation],
        test=shuffled[:test],
    )
