"""Parts a piece of foreground at the passes between the summits of a height: what all decoders share."""

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from nucseg_jax.heads.decoding.neighbours import NEIGHBOURS


def part_at_passes(piece: np.ndarray, height: np.ndarray, depth: float) -> np.ndarray:
    """Parts one connected piece of foreground between summits that a deep pass parts.

    The watershed floods the height downwards from all of its maxima, and regions that no deep pass parts are joined,
    the highest pass first: the pass between two is the highest pair of neighbours across their border, and it is deep
    if it lies more than `depth` below the lower of both tops (dynamics of maxima: Grimaud, SPIE 1769, 1992). These are
    but for a few in a thousand the h-maxima, in half the time of a reconstruction. Maxima and passes are 8-connected,
    regions 4-connected.

    Args:
      piece: bool [h, w], 4-connected; what lies outside counts as background.
      height: float [h, w]; not read outside of the piece.
      depth: in units of the height.

    Returns:
      int32 [h, w]: 0 outside, else 1, 2, ...; each 4-connected.
    """
    rows, columns = piece.shape
    is_inside = np.zeros((rows + 2, columns + 2), bool)
    is_inside[1:-1, 1:-1] = piece
    heights_inside = height[piece]
    lowest = heights_inside.min()
    if heights_inside.max() - lowest <= depth:
        return piece.astype(np.int32)
    padded = np.full(is_inside.shape, lowest - 1, height.dtype)
    padded[is_inside] = heights_inside
    is_top = local_maxima(padded) & is_inside
    tops, found = label(is_top, connectivity=2, return_num=True)
    if found < 2:
        return piece.astype(np.int32)
    heights = np.zeros(found + 1)
    heights[tops[is_top]] = padded[is_top]
    regions = watershed(-padded, tops, mask=is_inside, connectivity=1)
    parted = _joined(regions, heights.tolist(), padded, depth)
    # Regions that were joined across a corner only are two again.
    return np.asarray(label(parted[1:-1, 1:-1], connectivity=1), np.int32)


def smoothed(height: np.ndarray, smooth_px: float) -> np.ndarray:
    """Smooths a height, float [h, w], by a Gaussian of this standard deviation; 0 lies beyond its edges."""
    if not smooth_px:
        return height
    return np.asarray(ndimage.gaussian_filter(height, smooth_px, mode="constant"))


def _joined(regions: np.ndarray, tops: list[float], height: np.ndarray, depth: float) -> np.ndarray:
    """Gives regions, int [h, w], that are not parted by a pass deeper than `depth` the same number.

    Args:
      regions: 0, or the number of a region.
      tops: height of each region's top, by its number.
      height: [h, w].
      depth: of a pass below the lower of two tops.
    """
    borders = []
    for one, other in NEIGHBOURS:
        is_border = (regions[one] != regions[other]) & (regions[one] > 0) & (regions[other] > 0)
        pair = regions[one][is_border], regions[other][is_border]
        borders.append((*pair, np.minimum(height[one][is_border], height[other][is_border])))
    ones, others, heights = (np.concatenate(parts) for parts in zip(*borders, strict=True))
    pairs = np.sort(np.stack([ones, others], axis=1).astype(np.int64), axis=1)
    downward = np.argsort(-heights, kind="stable")
    _, first = np.unique((pairs[:, 0] * len(tops) + pairs[:, 1])[downward], return_index=True)
    downward = downward[np.sort(first)]
    joined_to = list(range(len(tops)))

    def root(region: int) -> int:
        while joined_to[region] != region:
            joined_to[region] = joined_to[joined_to[region]]
            region = joined_to[region]
        return region

    for (one, other), level in zip(pairs[downward].tolist(), heights[downward].tolist(), strict=True):
        low, high = sorted((root(one), root(other)), key=tops.__getitem__)
        if low != high and tops[low] - level <= depth:
            joined_to[low] = high
    return np.asarray(np.array([root(region) for region in range(len(tops))])[regions])
