"""Places of the patches of an image: a grid from its upper left corner, and what becomes of the remainder."""

import dataclasses

import numpy as np

from nucseg_jax.config.data import Remainder


@dataclasses.dataclass(frozen=True)
class PatchGrid:
    """Patches of one image, px on their own grid.

    Attributes:
      height, width: of the image.
      patch_px: P.
      remainder: reflect = patches reach over the lower and right edge, where the image is reflected and void;
        drop = only whole patches.
    """

    height: int
    width: int
    patch_px: int
    remainder: Remainder

    @property
    def tops(self) -> range:
        """First row of each row of patches."""
        return self._starts(self.height)

    @property
    def lefts(self) -> range:
        """First column of each column of patches."""
        return self._starts(self.width)

    @property
    def is_exact(self) -> bool:
        """True where patches cover the image and nothing else."""
        return self.height % self.patch_px == 0 == self.width % self.patch_px

    @property
    def dropped_share(self) -> float:
        """Share of the image's px that are in no patch."""
        covered = min(len(self.tops) * self.patch_px, self.height) * min(
            len(self.lefts) * self.patch_px, self.width
        )
        return 1 - covered / (self.height * self.width)

    def _starts(self, length: int) -> range:
        whole = length // self.patch_px * self.patch_px
        return range(0, length if self.remainder == "reflect" else whole, self.patch_px)


def reflected(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Extends pixels [h, w, ...] below and to the right by reflection about the last row and column.

    Args:
      rows, columns: to add.
    """
    extent = ((0, rows), (0, columns), *((0, 0),) * (pixels.ndim - 2))
    return np.pad(pixels, extent, mode="reflect") if rows or columns else pixels
