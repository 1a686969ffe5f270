"""A prepared data set and the lists that split it: first the plan, which costs nothing, then the patches."""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nucseg_jax.core.memory import available_host_bytes
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.patch_store import PatchStore
from nucseg_jax.data.split_sides import require_no_near_duplicates, require_sides
from nucseg_jax.data.splits import SPLIT_NAMES, Splits
from nucseg_jax.data.store.reader import StoredDataset, open_dataset, open_folds, read_folds

# Of the memory that is available: what patches may take and leave enough for everything else.
HOST_SHARE = 0.5


class DataPlan(NamedTuple):
    """A data set and its splits; no patch is in memory yet.

    Attributes:
      dataset: the prepared data set.
      splits: all three lists of (fold, row).
      with_instances: whether ids of nuclei are read with the patches.
    """

    dataset: StoredDataset
    splits: Splits
    with_instances: bool = False

    @property
    def info(self) -> DatasetInfo:
        """Names, sizes and scale of the data set."""
        return self.dataset.info

    @property
    def bytes_per_patch(self) -> int:
        """Memory of a patch as it is read."""
        return self.info.bytes_per_patch + (2 * self.info.patch_px**2 if self.with_instances else 0)

    @property
    def digest(self) -> str:
        """Digest of the data set's content."""
        return self.dataset.digest

    def fits_in_memory(self, split_names: Sequence[str] = SPLIT_NAMES, *, also_bytes: int = 0) -> bool:
        """Returns True if what `read` would hold, and `also_bytes` beside it, fit `HOST_SHARE` of the available memory.

        True where the system does not say how much that is.
        """
        sizes = self.dataset.index.fold_sizes
        patches = sum(sizes[fold] for fold in self._folds(split_names))
        available = available_host_bytes()
        return available is None or patches * self.bytes_per_patch + also_bytes <= HOST_SHARE * available

    def read(self, split_names: Sequence[str] = SPLIT_NAMES) -> "PreparedData":
        """Reads the folds that the named splits touch into memory, `bytes_per_patch` a patch."""
        folds = self._folds(split_names)
        patches = read_folds(self.dataset.data_dir, folds, with_instances=self.with_instances)
        return PreparedData(patches, self.splits, self.dataset)

    def open(self, split_names: Sequence[str] = SPLIT_NAMES) -> "PreparedData":
        """Opens the folds that the named splits touch; patches are read when they are taken."""
        folds = self._folds(split_names)
        patches = open_folds(self.dataset.data_dir, folds, with_instances=self.with_instances)
        return PreparedData(patches, self.splits, self.dataset)

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
      dataset: that they are of.
    """

    patches: PatchStore
    splits: Splits
    dataset: StoredDataset

    @property
    def info(self) -> DatasetInfo:
        """Names, sizes and scale of the data set."""
        return self.dataset.info

    def rows(self, split: str) -> np.ndarray:
        """Returns the positions of a split's patches in `patches`, int64 [P], in the order of its list.

        Raises:
          KeyError: some do not.
        """
        pairs = getattr(self.splits, split)
        keys = self.patches.fold.astype(np.int64) << 32 | self.patches.index
        requested = pairs[:, 0].astype(np.int64) << 32 | pairs[:, 1]
        rows = np.asarray(np.searchsorted(keys, requested))
        if not np.isin(requested, keys).all():
            raise KeyError(f"folds of the {split} split were not read")
        return rows


def plan_data(
    data_dir: pathlib.Path,
    make_splits: Callable[[PatchIndex, DatasetInfo], Splits],
    *,
    num_classes: int = 1,
    used: Sequence[str] = SPLIT_NAMES,
    allow_duplicates: bool = False,
    with_instances: bool = False,
) -> DataPlan:
    """Plans from what lies beside the records alone.

    Args:
      data_dir: the folder that `prepare` was given.
      make_splits: from the data set's patches to lists.
      num_classes: of the model.
      used: names of the sides that must not be empty.
      allow_duplicates: whether patches that look the same may stand on two sides.
      with_instances: whether ids of nuclei are read with the patches.

    Raises:
      UserError: nothing usable was prepared there, it cannot be split so, or its classes are not the model's.
    """
    dataset = open_dataset(data_dir)
    dataset.info.require_num_classes(num_classes)
    splits = make_splits(dataset.index, dataset.info)
    require_sides(splits, used)
    if not allow_duplicates:
        require_no_near_duplicates(dataset.index, splits, dataset.near_duplicates)
    return DataPlan(dataset, splits, with_instances)
