"""Patches by row, wherever they lie: in memory, or on disk until they are taken."""

import dataclasses
from typing import Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class Patches:
    """P patches in memory.

    Attributes:
      image: uint8 [P, S, S, 3], RGB; S = the data set's `patch_px`.
      label: uint8 [P, S, S], 0 = background, 1..C the data set's classes, `VOID_LABEL` = not annotated.
      group: int32 [P], position in the data set's `groups`.
      fold: int32 [P], number of the stored part, from 1; in PanNuke the fold.
      index: int32 [P], row in that part.
      instance: uint16 [P, S, S], ids of nuclei, 0 = background or not annotated; None where they were not asked for.
    """

    image: np.ndarray
    label: np.ndarray
    group: np.ndarray
    fold: np.ndarray
    index: np.ndarray
    instance: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "Patches":
        """The patches of these rows, int [N], in this order, repeats included; copies."""
        return Patches(
            image=self.image[rows],
            label=self.label[rows],
            group=self.group[rows],
            fold=self.fold[rows],
            index=self.index[rows],
            instance=None if self.instance is None else self.instance[rows],
        )


class PatchStore(Protocol):
    """The interface of patches, wherever they lie.

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
