"""Patches by row, wherever they lie: in memory, or on disk until they are taken."""

import dataclasses
from typing import Protocol

import numpy as np

from nucseg_jax.data.sources.pannuke.vocabulary import PATCH_PX

# Image, label and group.
BYTES_PER_PATCH = PATCH_PX * PATCH_PX * 4 + 4


@dataclasses.dataclass(frozen=True)
class Patches:
    """P patches in memory.

    Attributes:
      image: uint8 [P, 256, 256, 3], RGB.
      label: uint8 [P, 256, 256], 0 = background, 1..5 the classes of `vocabulary.NUCLEUS_CLASSES`.
      group: int32 [P], position in the data set's `groups`.
      fold: int32 [P], 1..3.
      index: int32 [P], row in the fold's release.
    """

    image: np.ndarray
    label: np.ndarray
    group: np.ndarray
    fold: np.ndarray
    index: np.ndarray

    def take(self, rows: np.ndarray) -> "Patches":
        """The patches of these rows, int [N], in this order, repeats included; copies."""
        return Patches(
            image=self.image[rows],
            label=self.label[rows],
            group=self.group[rows],
            fold=self.fold[rows],
            index=self.index[rows],
        )


class PatchStore(Protocol):
    """What all that need patches may ask for.

    Attributes:
      fold, index: int32 [P], as in `Patches`, sorted by fold, then by index; always in memory.
    """

    @property
    def fold(self) -> np.ndarray: ...  # noqa: D102

    @property
    def index(self) -> np.ndarray: ...  # noqa: D102

    def take(self, rows: np.ndarray) -> Patches:
        """The patches of these rows, int [N], in this order, repeats included; from any thread."""
        ...
