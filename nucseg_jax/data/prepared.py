"""A prepared data set in memory, together with the lists that split it."""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nucseg_jax.data.pannuke.reader import Patches, data_digest, fold_sizes, read_folds
from nucseg_jax.data.splits import SPLIT_NAMES, Splits


class PreparedData(NamedTuple):
    """Patches and splits.

    Attributes:
      patches: of every fold that the chosen splits touch.
      splits: all three lists of (fold, row).
      digest: of the data set's content.
    """

    patches: Patches
    splits: Splits
    digest: str

    def rows(self, split: str) -> np.ndarray:
        """Where the patches of a split lie in `patches`, int64 [P], in the order of its list."""
        pairs = getattr(self.splits, split)
        keys = self.patches.fold.astype(np.int64) << 32 | self.patches.index
        return np.asarray(np.searchsorted(keys, pairs[:, 0].astype(np.int64) << 32 | pairs[:, 1]))


def load_prepared(
    data_dir: pathlib.Path,
    make_splits: Callable[[dict[int, int]], Splits],
    split_names: Sequence[str] = SPLIT_NAMES,
) -> PreparedData:
    """Reads the folds that the named splits need.

    Args:
      data_dir: the folder that `prepare` was given.
      make_splits: fold sizes to lists.
      split_names: which of 'train', 'validation', 'test' will be asked for.

    Raises:
      UserError: nothing usable was prepared there.
    """
    splits = make_splits(fold_sizes(data_dir))
    folds = {int(fold) for name in split_names for fold in np.unique(getattr(splits, name)[:, 0])}
    return PreparedData(read_folds(data_dir, sorted(folds)), splits, data_digest(data_dir))
