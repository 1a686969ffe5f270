"""The records of a prepared data set at random, by fold and row, without reading the rest.

The builder keeps the release's order (`disable_shuffling`), so a row's number is its place on disk; every record
carries both numbers, and they are compared whenever one is read.
"""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import reason_of
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.store.layout import Example
from nucseg_jax.data.store.stored_files import damaged

# Records decoded at a time; what bounds the memory beside the arrays that are filled.
CHUNK = 64


class StoredPatches:
    """P patches on disk, sorted by (fold, index), in memory only once they are taken.

    Attributes:
      fold: int32 [P], number of the stored part; PanNuke's fold.
      index: int32 [P], row in that part.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        fold_sizes: Mapping[int, int],
        *,
        patch_px: int,
        group_feature: str,
        with_instances: bool = False,
    ):
        """Opens the files; reads no patch.

        Args:
          folder: the data set's folder, such as pannuke/1.0.0.
          fold_sizes: patches of each fold to open.
          patch_px: side of a patch.
          group_feature: name under which records hold the position of their group.
          with_instances: whether ids of nuclei are read too.

        Raises:
          UserError: files are missing or damaged.
        """
        sizes = dict(sorted(fold_sizes.items()))
        self._patch_px, self._group_feature = patch_px, group_feature
        self._with_instances = with_instances
        self._folds = {
            fold: FoldRecords(folder, fold, size, with_instances=with_instances)
            for fold, size in sizes.items()
        }
        self.fold: np.ndarray = np.repeat(list(sizes), list(sizes.values())).astype(np.int32)
        self.index: np.ndarray = np.concatenate([np.arange(size) for size in sizes.values()]).astype(np.int32)

    def take(self, rows: np.ndarray) -> Patches:
        """Reads the patches of these rows, int [N], in this order, repeats included; from any thread.

        Raises:
          UserError: a record is damaged, or not the one that should lie there.
        """
        N, px = len(rows), self._patch_px
        taken = Patches(
            image=np.empty((N, px, px, 3), np.uint8),
            label=np.empty((N, px, px), np.uint8),
            group=np.empty(N, np.int32),
            fold=self.fold[rows],
            index=self.index[rows],
            instance=np.empty((N, px, px), np.uint16) if self._with_instances else None,
        )
        for fold in np.unique(taken.fold):
            places = np.flatnonzero(taken.fold == fold)
            for first in range(0, len(places), CHUNK):
                chunk = places[first : first + CHUNK]
                examples = self._folds[int(fold)].read(taken.index[chunk].tolist())
                for place, example in zip(chunk, examples, strict=True):
                    taken.image[place], taken.label[place] = example["image"], example["label"]
                    taken.group[place] = example[self._group_feature]
                    if taken.instance is not None:
                        taken.instance[place] = example["instance"]
        return taken


class FoldRecords:
    """The records of one fold by row."""

    def __init__(self, folder: pathlib.Path, fold: int, size: int, *, with_instances: bool = False):
        """Opens a fold of `size` patches.

        Raises:
          UserError: its files are missing or damaged, or hold another number of patches.
        """
        import tensorflow_datasets as tfds  # Half a second that an audit alone need not wait for.

        self._folder, self._fold = folder, fold
        decoders = None if with_instances else {"instance": tfds.decode.SkipDecoding()}
        # TensorFlow Datasets, protobuf, zlib and ArrayRecord each raise their own errors on a damaged file.
        try:
            self._source = tfds.builder_from_directory(str(folder)).as_data_source(
                split=f"fold{fold}", decoders=decoders
            )
            found = len(self._source)
        except Exception as error:
            raise damaged(folder, f"fold {fold} cannot be opened ({reason_of(error)})") from error
        if found != size:
            raise damaged(folder, f"fold {fold} holds {found:,} of {counted(size, 'patch')}")

    def read(self, rows: Sequence[int]) -> list[Example]:
        """The examples of some rows, as the builder describes them; `instance` is undecoded unless asked for.

        Raises:
          UserError: a record is damaged, or not the one that should lie there.
        """
        try:
            examples = list(self._source.__getitems__(rows))
        except Exception as error:
            raise damaged(
                self._folder,
                f"fold {self._fold} cannot be read at patch {rows[0]} ({reason_of(error)})",
            ) from error
        for row, example in zip(rows, examples, strict=True):
            if (example["fold"], example["index"]) != (self._fold, row):
                raise damaged(
                    self._folder,
                    f"fold {self._fold} holds row {example['index']} of fold {example['fold']}"
                    f" in place of its row {row}",
                )
        return examples
