"""A prepared data set and the lists that split it: first the plan, which costs nothing, then the patches."""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nucseg_jax.core.memory import available_host_bytes
from nucseg_jax.data.patch_store import BYTES_PER_PATCH, PatchStore
from nucseg_jax.data.splits import SPLIT_NAMES, Splits
from nucseg_jax.data.store.reader import (
    data_digest,
    fold_sizes,
    open_folds,
    read_folds,
    require_classes,
)

# Of the memory that is available: what patches may take and leave enough for everything else.
HOST_SHARE = 0.5


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

    def fits_in_memory(self, split_names: Sequence[str] = SPLIT_NAMES, *, also_bytes: int = 0) -> bool:
        """Whether what `read` would hold, and `also_bytes` beside it, fit `HOST_SHARE` of the available memory.

        True where the system does not say how much that is.
        """
        sizes = fold_sizes(self.data_dir)
        patches = sum(sizes[fold] for fold in self._folds(split_names))
        available = available_host_bytes()
        return available is None or patches * BYTES_PER_PATCH + also_bytes <= HOST_SHARE * available

    def read(self, split_names: Sequence[str] = SPLIT_NAMES) -> "PreparedData":
        """Reads the folds that the named splits touch, 262 KB of memory a patch."""
        return PreparedData(read_folds(self.data_dir, self._folds(split_names)), self.splits)

    def open(self, split_names: Sequence[str] = SPLIT_NAMES) -> "PreparedData":
        """Opens the folds that the named splits touch; patches are read when they are taken."""
        return PreparedData(open_folds(self.data_dir, self._folds(split_names)), self.splits)

    def read_or_open(self, split_names: Sequence[str] = SPLIT_NAMES) -> "PreparedData":
        """`read` where that fits the memory, else `open`."""
        return self.read(split_names) if self.fits_in_memory(split_names) else self.open(split_names)

    def _folds(self, split_names: Sequence[str]) -> list[int]:
        return sorted({int(fold) for name in split_names for fold in getattr(self.splits, name)[:, 0]})


class PreparedData(NamedTuple):
    """Patches and splits.

    Attributes:
      patches: of every fold that was read or opened.
      splits: all three lists of (fold, row).
    """

    patches: PatchStore
    splits: Splits

    def rows(self, split: str) -> np.ndarray:
        """Where the patches of a split lie in `patches`, int64 [P], in the order of its list.

        Raises:
          KeyError: some do not.
        """
        pairs = getattr(self.splits, split)
        keys = self.patches.fold.astype(np.int64) << 32 | self.patches.index
        wanted = pairs[:, 0].astype(np.int64) << 32 | pairs[:, 1]
        rows = np.asarray(np.searchsorted(keys, wanted))
        if not np.isin(wanted, keys).all():
            raise KeyError(f"folds of the {split} split were not read")
        return rows


def plan_data(
    data_dir: pathlib.Path, make_splits: Callable[[dict[int, int]], Splits], *, num_classes: int = 1
) -> DataPlan:
    """Plans from the data set's audit alone.

    Args:
      data_dir: the folder that `prepare` was given.
      make_splits: fold sizes to lists.
      num_classes: of the model; above 1 the nuclei must have classes.

    Raises:
      UserError: nothing usable was prepared there, it cannot be split so, or its nuclei have no classes.
    """
    if num_classes > 1:
        require_classes(data_dir)
    return DataPlan(data_dir, make_splits(fold_sizes(data_dir)), data_digest(data_dir))
