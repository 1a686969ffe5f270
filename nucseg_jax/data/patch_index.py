"""Origin of every patch of a data set: one line a patch, without its pixels, kept as `patches.csv`.

fold,row,group,image,top,left,division
1,0,patient1,a.png,0,0,train
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class PatchIndex:
    """P patches, sorted by (fold, row).

    Attributes:
      fold: int32 [P], number of the stored part, from 1: PanNuke's folds; elsewhere parts of a bounded size.
      row: int32 [P], position in the part.
      group: int32 [P], position in the data set's `groups`; None for PanNuke as earlier versions prepared it.
      image: name of the image file [P], without folders, each unique to one image; '' where patches are all that is
        known (PanNuke).
      top, left: int32 [P], where in that image, px on the patches' grid.
      division: of each patch [P], one of the data set's `divisions`; '' = none.
    """

    fold: np.ndarray
    row: np.ndarray
    group: np.ndarray | None
    image: tuple[str, ...]
    top: np.ndarray
    left: np.ndarray
    division: tuple[str, ...]

    @property
    def fold_sizes(self) -> dict[int, int]:
        """Patches of each part, by its number."""
        numbers, counts = np.unique(self.fold, return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))

    @property
    def has_places(self) -> bool:
        """True if the image of each patch is known."""
        return any(self.image)

    def positions(self, patches: np.ndarray) -> np.ndarray:
        """Returns the positions in this index of patches, int [N, 2] of (fold, row), as int64 [N].

        Raises:
          KeyError: a patch that the data set does not have.
        """
        pairs: np.ndarray = np.asarray(patches, np.int64).reshape(-1, 2)
        keys = self.fold.astype(np.int64) << 32 | self.row
        given = pairs[:, 0] << 32 | pairs[:, 1]
        if not np.isin(given, keys).all():
            raise KeyError("patches that are not in the data set")
        return np.asarray(np.searchsorted(keys, given))
