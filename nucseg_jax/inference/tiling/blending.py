"""Tiles to one map, without seams: each pixel is a weighted mean of the tiles that hold it.

Along an axis, across an overlap of O pixels, the earlier tile's weight is 1 - r and the later one's r, where r is 0 for
the first quarter of the overlap, rises as sin^2 over the half in the middle, and is 1 for the last quarter. So nothing
that a model computes within O / 4 of a tile's inner edge counts: if it looks no farther than that, the result is that
of the whole image. A tile's weight is the product of both axes', and the weights of a pixel sum to one exactly.

At most two tiles meet along an axis, and the sum of two numbers does not depend on their order: neither does the map.
"""

import functools

import numpy as np

from nucseg_jax.inference.tiling.tiles import TilePlan


@functools.lru_cache(maxsize=8)
def ramp(overlap_px: int) -> np.ndarray:
    """The later tile's weight across an overlap, float32 [O]; `ramp + reversed ramp` is exactly one.

    Args:
      overlap_px: O, a multiple of 4.
    """
    half = overlap_px // 2
    position = (np.arange(half) + 0.5 - overlap_px / 4) / max(half, 1)
    low = np.sin(np.pi / 2 * np.clip(position, 0.0, 1.0)).astype(np.float32) ** 2
    # The larger of each pair is rounded first: 1 - high is exact for high of at least a half.
    high = (np.float32(1.0) - low)[::-1]
    return np.concatenate([(np.float32(1.0) - high)[::-1], high])


class Blender:
    """Takes the tiles of an image, row by row, and gives bands of its rows; holds one row of tiles.

    Args:
      plan: the tiles.
      channels: F.
      first_row: the row of tiles that will come first.
    """

    def __init__(self, plan: TilePlan, channels: int, *, first_row: int = 0):
        self._plan = plan
        self._first_row = first_row
        width = plan.columns * plan.stride_px + plan.overlap_px
        self._strip: np.ndarray = np.zeros((plan.tile_px, width, channels), np.float32)
        self._carried: np.ndarray = np.zeros((plan.overlap_px, width, channels), np.float32)

    def add(self, column: int, tile: np.ndarray) -> None:
        """Adds a tile, float32 [T, T, F], to the row at hand; each at most once, in any order."""
        plan, rise = self._plan, ramp(self._plan.overlap_px)
        weight: np.ndarray = np.ones(plan.tile_px, np.float32)
        if plan.overlap_px and column > 0:
            weight[: plan.overlap_px] = rise
        if plan.overlap_px and column < plan.columns - 1:
            weight[-plan.overlap_px :] = rise[::-1]
        left = column * plan.stride_px
        self._strip[:, left : left + plan.tile_px] += weight[:, None] * tile

    def finish_row(self, row: int) -> tuple[int, np.ndarray]:
        """Ends a row of tiles; tiles that were not added count as zeros.

        Returns:
          First row of pixels, and float32 [h, W, F] from there: those that are complete now. Where the rows of tiles
          begin later than the image, the first ones lack what lies above them.
        """
        plan, strip = self._plan, self._strip
        if plan.overlap_px and row > self._first_row:
            rise = ramp(plan.overlap_px)[:, None, None]
            strip[: plan.overlap_px] = strip[: plan.overlap_px] * rise + self._carried * rise[::-1]
        top, end = plan.finished(row)
        band = strip[: end - top, : plan.width].copy()
        self._carried[:] = strip[plan.stride_px :]
        strip[:] = 0.0
        return top, band
