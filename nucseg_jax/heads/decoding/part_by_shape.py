"""Parts a piece of foreground at its necks, by its shape alone: the decoder of a model without an instance head."""

import dataclasses
from typing import ClassVar

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from nucseg_jax.heads.decoding.neighbours import NEIGHBOURS
from nucseg_jax.heads.decoding.parameter_range import require_between

# An ellipse has the ratio of its axes; two equal disks that touch have 2.
_COMPACT = 1.5


@dataclasses.dataclass(frozen=True)
class ShapeParting:
    """Parameters of `part_by_shape`, in microns; a `Parting` that needs no maps.

    Attributes:
      neck_um: two nuclei are parted where the piece is narrower than at both of their centres by this much on each
        side of its middle line.
      head: its name in `PARTINGS`.
    """

    neck_um: float = 0.3
    head: str = dataclasses.field(default="none", init=False)

    maps: ClassVar[int] = 0
    tuned: ClassVar[str] = "neck_um"
    grid: ClassVar[tuple[float, ...]] = (0.15, 0.3, 0.45, 0.6)

    def __post_init__(self) -> None:
        """Raises UserError for a depth that is negative or no number."""
        require_between("neck_um", self.neck_um, 0.0, np.inf)

    def part(self, piece: np.ndarray, maps: np.ndarray, microns_per_px: float) -> np.ndarray:
        """Returns the nuclei of a piece, int [h, w]; the maps are not read. See `Parting.part`."""
        return part_by_shape(piece, self.neck_um / microns_per_px)


def part_by_shape(piece: np.ndarray, neck_px: float) -> np.ndarray:
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
    return np.asarray(label(parted[1:-1, 1:-1], connectivity=1))


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
