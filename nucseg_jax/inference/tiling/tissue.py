"""Finds tissue on a slide: tiles without any are not computed, and hold no nucleus."""

import numpy as np

from nucseg_jax.images.source import Source
from nucseg_jax.inference.tiling.tiles import TilePlan
from nucseg_jax.ops.stain import optical_density

# Smaller images are computed whole: they were cut out of tissue.
SMALLEST_SLIDE_PX = 1 << 24
_OVERVIEW_PX = 2048
# Optical density above the slide's own white, in any colour, at which a patch of some 10 to 50 px counts as tissue. The
# palest stroma has .1; noise and shading of the glass stay below .03.
_FAINTEST = 0.05
# The brightest pixels are glass if there is any.
_GLASS_PERCENTILE = 99
_ROWS_AT_ONCE = 512


def slide_overview(source: Source) -> np.ndarray | None:
    """Returns the whole of a slide, smaller, uint8 [h, w, 3]; None for a small image, all of which is computed."""
    return None if source.height * source.width < SMALLEST_SLIDE_PX else overview(source)


def overview(source: Source) -> np.ndarray:
    """The whole image, smaller, uint8 [h, w, 3]: from the file's pyramid, or by averaging strip by strip."""
    if source.read_overview is not None:
        return source.read_overview(_OVERVIEW_PX)
    factor = max(1, max(source.height, source.width) // _OVERVIEW_PX)
    rows_at_once = factor * max(1, _ROWS_AT_ONCE // factor)
    strips = []
    for top in range(0, source.height, rows_at_once):
        strip = source.read(top, 0, min(rows_at_once, source.height - top), source.width)
        strips.append(averaged(strip, factor))
    return np.concatenate(strips)


def averaged(image: np.ndarray, factor: int) -> np.ndarray:
    """Means of squares of `factor` px, smaller at the far edges: uint8 [H, W, 3] to [ceil(H / f), ceil(W / f), 3]."""
    if factor == 1:
        return image
    sums = _summed(_summed(image, factor).swapaxes(0, 1), factor).swapaxes(0, 1)
    counts = [
        np.minimum(factor, length - np.arange(0, length, factor))
        for length in (image.shape[0], image.shape[1])
    ]
    return np.rint(sums / (counts[0][:, None] * counts[1])[..., None]).astype(np.uint8)


def _summed(values: np.ndarray, factor: int) -> np.ndarray:
    """Sums of `factor` rows, uint32; in a fifth of the time of `np.add.reduceat`."""
    sums: np.ndarray = values[::factor].astype(np.uint32)
    for offset in range(1, factor):
        rows = values[offset::factor]
        sums[: len(rows)] += rows
    return sums


def tissue_mask(image: np.ndarray) -> np.ndarray:
    """Bool [h, w]: where an overview, uint8 [h, w, 3], is denser than the glass of the slide."""
    white = np.maximum(np.percentile(image.reshape(-1, 3), _GLASS_PERCENTILE, axis=0), 1.0)
    density = optical_density(image.astype(np.float32)) - optical_density(white.astype(np.float32))
    return (density > _FAINTEST).any(axis=-1)


def tiles_with(mask: np.ndarray, plan: TilePlan) -> np.ndarray:
    """Bool [rows, columns]: the tiles that hold a True of a mask of the whole image, or touch one.

    Args:
      mask: bool [h, w], any size.
      plan: the tiles.
    """
    sums = np.pad(np.cumsum(np.cumsum(mask, axis=0, dtype=np.int64), axis=1), ((1, 0), (1, 0)))
    first_row, end_row = _span(plan.rows, plan, plan.height, mask.shape[0])
    first_column, end_column = _span(plan.columns, plan, plan.width, mask.shape[1])
    inside = sums[end_row][:, end_column] - sums[end_row][:, first_column]
    return inside - sums[first_row][:, end_column] + sums[first_row][:, first_column] > 0


def _span(number: int, plan: TilePlan, length: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """First and end cell of a mask for each tile of an axis, a cell more on both sides."""
    starts: np.ndarray = np.arange(number) * plan.stride_px
    first: np.ndarray = starts * cells // length - 1
    end = -(-np.minimum(starts + plan.tile_px, length) * cells // length) + 1
    return np.clip(first, 0, cells), np.clip(end, 0, cells)
