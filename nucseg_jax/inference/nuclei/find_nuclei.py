"""Foreground to nuclei: touching ones are parted by a watershed on the distance to the background.

Each connected piece of foreground (4-connected) is looked at by itself, so that the result does not depend on what is
around it, nor on the window through which it is seen.
"""

import dataclasses

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from nucseg_jax.core.errors import UserError
from nucseg_jax.ops.probability import THRESHOLD, lowest_nucleus_level

# An ellipse has the ratio of its axes; two equal disks that touch have 2.
_COMPACT = 1.5
Index = slice | tuple[slice, slice]
# Of an image, each pixel and its neighbour: to the right, below, below and to the right, below and to the left.
NEIGHBOURS: tuple[tuple[Index, Index], ...] = (
    (np.s_[:, :-1], np.s_[:, 1:]),
    (np.s_[:-1], np.s_[1:]),
    (np.s_[:-1, :-1], np.s_[1:, 1:]),
    (np.s_[:-1, 1:], np.s_[1:, :-1]),
)


@dataclasses.dataclass(frozen=True)
class NucleusRule:
    """What counts as a nucleus, in microns, so that it holds at any resolution.

    Attributes:
      threshold: a pixel is foreground where the probability of any nucleus > threshold; 0 <= threshold < 1.
      neck_um: two nuclei are parted where the piece is narrower than at both of their centres by this much on each
        side of its middle line.
      smallest_um2: smaller ones are dropped. A lymphocyte, the smallest whole nucleus, has some 25.
      tallest_um: a connected piece that is taller than this may be cut where a strip of the image ends; a bound on
        memory, not a size of nuclei.
    """

    threshold: float = THRESHOLD
    neck_um: float = 0.3
    smallest_um2: float = 5.0
    tallest_um: float = 256.0

    def __post_init__(self) -> None:
        """Raises UserError for a threshold that is no probability."""
        if not 0 <= self.threshold < 1:
            raise UserError(
                f"the threshold is {self.threshold}", expected="a probability, 0 <= threshold < 1"
            )

    @property
    def threshold_level(self) -> int:
        """The lowest level, in 255ths, that is foreground; see `ops.probability`.

        >>> NucleusRule(threshold=0.5).threshold_level
        128
        """
        return lowest_nucleus_level(self.threshold)


def part(piece: np.ndarray, neck_px: float) -> np.ndarray:
    """Parts one connected piece of foreground into nuclei.

    A piece of at most 1.5 times the area of the largest disk inside it is one. Else the watershed floods the distance
    to the background down from all of its maxima, and regions that no neck parts are joined, the highest pass first:
    the pass between two is the highest pair of neighbours across their border, and no neck if it lies at most `neck_px`
    below the lower of both tops (dynamics of maxima: Grimaud, SPIE 1769, 1992). These are but for a few in a thousand
    the h-maxima, in half the time of a reconstruction. Maxima and passes are 8-connected, regions 4-connected.

    Args:
      piece: bool [h, w], 4-connected; what lies outside counts as background.
      neck_px: depth of a neck, in px of distance to the background.

    Returns:
      int [h, w]: 0 outside, else 1, 2, ...; each 4-connected.
    """
    padded = np.pad(piece, 1)
    distance = ndimage.distance_transform_edt(padded)
    if np.count_nonzero(piece) <= _COMPACT * np.pi * distance.max() ** 2:
        return piece.astype(np.int32)
    is_top = local_maxima(distance)
    tops, found = label(is_top, connectivity=2, return_num=True)
    if found == 1:
        return piece.astype(np.int32)
    heights = np.zeros(found + 1)
    heights[tops[is_top]] = distance[is_top]
    regions = watershed(-distance, tops, mask=padded, connectivity=1)
    parted = _joined(regions, heights.tolist(), distance, neck_px)
    # Regions that were joined across a corner only are two again.
    return label(parted[1:-1, 1:-1], connectivity=1)


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
    return np.array([root(region) for region in range(len(tops))])[regions]


def place(nuclei: np.ndarray, piece: np.ndarray, taken: int, *, neck_px: float, smallest_px: float) -> int:
    """Parts a piece and writes its nuclei, numbered from `taken` + 1, into `nuclei`, uint32 [h, w].

    Returns:
      How many there are.
    """
    if np.count_nonzero(piece) < smallest_px:
        return 0
    parts = part(piece, neck_px)
    sizes = np.bincount(parts.ravel())
    keeps = sizes >= smallest_px
    keeps[0] = False
    numbers = np.where(keeps, taken + np.cumsum(keeps), 0).astype(np.uint32)
    np.copyto(nuclei, numbers[parts], where=piece)
    return int(keeps.sum())
