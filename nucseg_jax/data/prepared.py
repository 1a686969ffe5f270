"""A prepared data set and the lists that split it: first the plan, which costs nothing, then the patches."""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nucseg_jax.data.pannuke.reader import Patches, data_digest, fold_sizes, read_folds
from nucseg_jax.data.splits import SPLIT_NAMES, Splits


class DataPlan(NamedTuple):
    """What a data set holds and who gets what; no patch is in memory yet.

    Attributes:
      data_dir: the folder that `prepare` was given.
      splits: all three lists of (fold, row).
      digest: of the data set's content.
    """

    data_dir: pathlib.Path
    splits: Splits
    digest: str

    def read(self, split_names: Sequence[str] = SPLIT_NAMES) -> "PreparedData":
        """Reads the folds that the named splits touch, 393 KB of memory a patch."""
        folds = {int(fold) for name in split_names for fold in np.unique(getattr(self.splits, name)[:, 0])}
        return PreparedData(read_folds(self.data_dir, sorted(folds)), self.splits)


class PreparedData(NamedTuple):
    """Patches and splits.

    Attributes:
      patches: of every fold that was read.
      splits: all three lists of (fold, row).
    """

    patches: Patches
    splits: Splits

    def rows(self, split: str) -> np.ndarray:
        """Where the patches of a split lie in `patches`, int64 [P], in the order of its list."""
        pairs = getattr(self.splits, split)
        keys = self.patches.fold.astype(np.int64) << 32 | self.patches.index
        return np.asarray(np.searchsorted(keys, pairs[:, 0].astype(np.int64) << 32 | pairs[:, 1]))


def plan_data(data_dir: pathlib.Path, make_splits: Callable[[dict[int, int]], Splits]) -> DataPlan:
    """Plans from the data set's audit alone.

    Args:
      data_dir: the folder that `prepare` was given.
      make_splits: fold sizes to lists.

    Raises:
      UserError: nothing usable was prepared there, or it cannot be split so.
    """
    return DataPlan(data_dir, make_splits(fold_sizes(data_dir)), data_digest(data_dir))
