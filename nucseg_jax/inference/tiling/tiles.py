"""Tiles that cover an image: squares of one size, in rows, neighbours overlapping.

Notation: T tile, O overlap, S = T - O stride, all px on the model's grid. Tile k of an axis begins at k * S; there are
as many as it takes to reach the end. The first begins at the image's first pixel, and the last ones are filled up
with the image reflected at its far edge, as an image smaller than a tile is.
"""

import dataclasses
import functools

import numpy as np

from nucseg_jax.core.errors import UserError

OVERLAP_PX = 64


def default_overlap(tile_px: int, output_stride: int) -> int:
    """Overlap of tiles of a size where nobody chose one: 64 px, or what half a tile allows.

    >>> default_overlap(256, 16), default_overlap(128, 16), default_overlap(96, 32)
    (64, 64, 32)
    """
    unit = _unit(output_stride)
    return min(OVERLAP_PX, tile_px // 2 // unit * unit)


def _unit(output_stride: int) -> int:
    """Tiles begin at multiples of it."""
    return max(output_stride, 4)


def check_tiles(tile_px: int, overlap_px: int, output_stride: int) -> None:
    """Raises UserError unless a model of this output stride can be laid over an image in such tiles.

    At most two tiles may meet at a pixel of an axis, and all must lie alike on the model's grid of strides.
    """
    unit = _unit(output_stride)
    if tile_px < unit or tile_px % unit:
        raise UserError(f"tiles are {tile_px} px", expected=f"a multiple of {unit}, such as 256")
    if overlap_px % unit or not 0 <= overlap_px <= tile_px // 2:
        raise UserError(
            f"the overlap is {overlap_px} px",
            expected=f"a multiple of {unit} from 0 to {tile_px // 2}, half a tile",
        )


def spread_tiles(candidates: np.ndarray, most: int) -> np.ndarray:
    """Chooses at most so many tiles that stand for an image, spread over its rows and columns, the same ones each time.

    One from each of `most` equal parts of the tiles in their order, at a place without a period: equal steps would meet
    the same few columns in every row.

    Args:
      candidates: bool [rows, columns], the tiles to choose from.
      most: at least 1.

    Returns:
      bool of the same shape.
    """
    places = np.flatnonzero(candidates)
    chosen: np.ndarray = np.zeros(candidates.size, bool)
    if len(places) > most:
        edges = np.arange(most + 1) * len(places) // most
        places = places[np.random.default_rng(0).integers(edges[:-1], edges[1:])]
    chosen[places] = True
    return chosen.reshape(candidates.shape)


def reflected(start: int, count: int, length: int) -> np.ndarray:
    """Pixels that stand at `start`, `start` + 1, ... of an axis continued by reflection, the edge not repeated.

    Args:
      start: first position, at least 0.
      count: how many.
      length: of the axis, at least 1.

    Returns:
      int64 [count], 0..length - 1.

    >>> reflected(1, 6, 3).tolist()
    [1, 2, 1, 0, 1, 2]
    """
    period = max(2 * (length - 1), 1)
    position: np.ndarray = np.arange(start, start + count) % period
    return np.minimum(position, period - position) if length > 1 else np.zeros(count, np.int64)


@dataclasses.dataclass(frozen=True)
class TilePlan:
    """The tiles of one image.

    Attributes:
      height, width: of the image.
      tile_px: T.
      overlap_px: O, at most half of T.
    """

    height: int
    width: int
    tile_px: int
    overlap_px: int

    @property
    def stride_px(self) -> int:
        """S, from a tile to the next."""
        return self.tile_px - self.overlap_px

    @functools.cached_property
    def rows(self) -> int:
        """Rows of tiles."""
        return self._number(self.height)

    @functools.cached_property
    def columns(self) -> int:
        """Tiles in a row."""
        return self._number(self.width)

    def _number(self, length: int) -> int:
        return max(1, -(-(length - self.overlap_px) // self.stride_px))

    def finished(self, row: int) -> tuple[int, int]:
        """The rows of pixels [first, end) that are complete once this row of tiles is, and were not before."""
        end = self.height if row == self.rows - 1 else (row + 1) * self.stride_px
        return row * self.stride_px, end

    def first_row_for(self, top: int) -> int:
        """The row of tiles to begin with if the pixels from row `top` on are needed.

        >>> TilePlan(1000, 256, 256, 64).first_row_for(400)
        1
        """
        return max(0, min(top // self.stride_px, self.rows - 1) - 1)
