"""Classes that occur in each patch. Nothing beside the records lists them, so that labels are read, each once."""

from typing import NamedTuple

import numpy as np

from nucseg_jax.data.patch_store import Patches, PatchStore
from nucseg_jax.data.read_ahead import read_ahead

# Patches read at a time; what bounds the memory.
CHUNK = 64


class Contents(NamedTuple):
    """Groups and classes of P patches.

    Attributes:
      group: int32 [P], position in the data set's `groups`.
      has_class: bool [P, C], True where a pixel has label c + 1; void has no column.
    """

    group: np.ndarray
    has_class: np.ndarray


def contents_of(patches: PatchStore, rows: np.ndarray, class_count: int) -> Contents:
    """Reads groups and classes of patches; of patches on disk `CHUNK` at a time, in threads.

    Args:
      patches: in memory or on disk.
      rows: int [P], rows of `patches`.
      class_count: C, classes of the data set.
    """

    def read(number: int) -> Contents:
        taken = patches.take(rows[number * CHUNK : (number + 1) * CHUNK])
        columns = [(taken.label == label).any(axis=(1, 2)) for label in range(1, class_count + 1)]
        has_class = np.stack(columns, axis=1) if columns else np.zeros((len(taken.label), 0), bool)
        return Contents(taken.group, has_class)

    numbers = range(-(-len(rows) // CHUNK))
    parts = list(map(read, numbers) if isinstance(patches, Patches) else read_ahead(read, numbers))
    return Contents(*(np.concatenate(column) for column in zip(*parts, strict=True)))
