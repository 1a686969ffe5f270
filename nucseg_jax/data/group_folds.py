"""Whole groups of patches dealt into folds of nearly equal size."""

import numpy as np


def deal_units(unit: np.ndarray, folds: int, *, seed: int) -> np.ndarray:
    """Deals units, such as patients, into folds; no unit is ever in two.

    The largest are dealt first, those of like size (within a factor of two) in random order, each into the fold that
    has fewest patches so far: two folds never differ by more than the largest unit. The order of patches has no say.

    Args:
      unit: name or number of each patch's unit [P].
      folds: how many, at most as many as there are units.
      seed: of the order.

    Returns:
      int32 [P], the fold of each patch, from 1; none is empty.

    Raises:
      ValueError: more folds than units.

    >>> deal_units(np.array(["a", "a", "b", "c"]), 2, seed=0).tolist()
    [1, 1, 2, 2]
    """
    _, inverse, sizes = np.unique(unit, return_inverse=True, return_counts=True)
    if not 1 <= folds <= len(sizes):
        raise ValueError(f"{len(sizes)} units cannot be dealt into {folds} folds")
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-np.floor(np.log2(sizes[order])), kind="stable")]
    filled: np.ndarray = np.zeros(folds, np.int64)
    fold: np.ndarray = np.zeros(len(sizes), np.int32)
    for each in order:
        emptiest = int(np.argmin(filled))
        filled[emptiest] += sizes[each]
        fold[each] = 1 + emptiest
    return fold[inverse.reshape(-1)]
