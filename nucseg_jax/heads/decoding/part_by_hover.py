"""Parts a piece by horizontal and vertical maps, where they fall steeply (HoVer-Net: Graham et al., arXiv 1812.06499).

Unlike the published form (`official.py`) nothing is scaled by the extremes of a tile, so that no result depends on a
window: the maps have a fixed scale, and their slope is divided by the kernel's own gain. In place of a bound on the
slope a pass must be deep, which holds for the shallow maps of a network too (docs/instance_heads.md).
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np
from scipy import ndimage

from nucseg_jax.heads.decoding.parameter_range import require_between
from nucseg_jax.heads.decoding.part_at_passes import part_at_passes, smoothed
from nucseg_jax.heads.decoding.sobel import WIDEST_PX, sobel_kernels


@dataclasses.dataclass(frozen=True)
class HoverParting:
    """Parameters of `part_by_hover`, in microns; a `Parting` with two maps, horizontal first.

    Attributes:
      depth: two nuclei are parted where the edge strength between them is higher than at both of their calmest places
        by this much. A step from 1 to -1 between two nuclei has 2, one from 1 to the background 1, the slope inside a
        nucleus is below 0.
      sobel_um: half the width of the Sobel kernel; 11 px at .25 microns/px, 5 px at .5.
      smooth_um: standard deviation of the Gaussian that smooths the edge strength; 1 px at .25 microns/px.
      head: its name in `PARTINGS`.
    """

    depth: float = 0.25
    sobel_um: float = 1.375
    smooth_um: float = 0.25
    head: str = dataclasses.field(default="hover", init=False)

    maps: ClassVar[int] = 2
    tuned: ClassVar[str] = "depth"
    grid: ClassVar[tuple[float, ...]] = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4)

    def __post_init__(self) -> None:
        """Raises UserError for parameters out of range."""
        require_between("depth", self.depth, 0.0, 2.0)
        require_between("sobel_um", self.sobel_um, 0.0, 10.0)
        require_between("smooth_um", self.smooth_um, 0.0, 10.0)

    def part(self, piece: np.ndarray, maps: np.ndarray, microns_per_px: float) -> np.ndarray:
        """Returns the nuclei of a piece, int32 [h, w]. See `Parting.part`."""
        return part_by_hover(
            piece,
            maps,
            depth=self.depth,
            sobel_px=odd_px(2 * self.sobel_um / microns_per_px),
            smooth_px=self.smooth_um / microns_per_px,
        )


def odd_px(width_px: float) -> int:
    """Returns the odd number of pixels nearest to a width, from 3 to the widest kernel.

    >>> [odd_px(2 * 1.375 / microns_per_px) for microns_per_px in (0.01, 0.2, 0.25, 0.5, 1.0)]
    [61, 13, 11, 5, 3]
    """
    return min(max(3, 2 * round((width_px - 1) / 2) + 1), WIDEST_PX)


def part_by_hover(
    piece: np.ndarray, maps: np.ndarray, *, depth: float, sobel_px: int, smooth_px: float
) -> np.ndarray:
    """Parts one connected piece of foreground where the maps fall from one nucleus to the next.

    The calm places of the smoothed edge strength are summits, and what falls between them is a pass.

    Args:
      piece: bool [h, w], 4-connected; what lies outside counts as background.
      maps: float32 [h, w, 2], horizontal and vertical, nominally -1 (left, upper end of a nucleus) to 1; clipped to
        that; 0 outside of the piece, whatever they hold there.
      depth: see `HoverParting`.
      sobel_px: width of the Sobel kernel, odd.
      smooth_px: standard deviation of the Gaussian; 0 = none.

    Returns:
      int32 [h, w]: 0 outside, else 1, 2, ...; each 4-connected.
    """
    strength = edge_strength(np.where(piece[..., None], np.clip(maps, -1.0, 1.0), 0.0), sobel_px)
    return part_at_passes(piece, smoothed(-np.where(piece, strength, 0.0), smooth_px), depth)


def edge_strength(maps: np.ndarray, sobel_px: int) -> np.ndarray:
    """Computes how steeply the maps fall: the larger of -SobelX(H) and -SobelY(V), over the kernel's positive sum.

    Args:
      maps: float [h, w, 2], horizontal and vertical; 0 beyond its edges.
      sobel_px: width of the kernel, odd.

    Returns:
      float32 [h, w]: 1 for a step down by 1, of which a kernel sees nothing else.
    """
    derivative, smoothing = _unit_kernels(sobel_px)
    falls = []
    for axis, each in ((1, maps[..., 0]), (0, maps[..., 1])):
        slope = ndimage.correlate1d(each, derivative, axis=axis, output=np.float64, mode="constant")
        falls.append(-ndimage.correlate1d(slope, smoothing, axis=1 - axis, mode="constant"))
    return np.asarray(np.maximum(*falls), np.float32)


@functools.cache
def _unit_kernels(sobel_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Sobel kernels whose product has positive weights that sum to 1."""
    derivative, smoothing = sobel_kernels(sobel_px)
    return derivative / derivative.clip(0).sum(), smoothing / smoothing.sum()
