"""Parts a piece by a map of the normalised distance to each nucleus's border."""

import dataclasses
from typing import ClassVar

import numpy as np

from nucseg_jax.heads.decoding.parameter_range import require_between
from nucseg_jax.heads.decoding.part_at_passes import part_at_passes, smoothed


@dataclasses.dataclass(frozen=True)
class DistanceParting:
    """Parameters of `part_by_distance`; a `Parting` with one map.

    A bound on the map itself in place of a depth (seeds above .5) is as good on perfect maps and worse on those of a
    network: its summits are seldom at 1, and one nucleus has many of them (docs/instance_heads.md).

    Attributes:
      depth: two nuclei are parted where the map between them lies lower than at both of their summits by this much.
      smooth_um: standard deviation of the Gaussian that smooths the map; 1 px at .25 microns/px.
      head: its name in `PARTINGS`.
    """

    depth: float = 0.2
    smooth_um: float = 0.25
    head: str = dataclasses.field(default="distance", init=False)

    maps: ClassVar[int] = 1
    tuned: ClassVar[str] = "depth"
    grid: ClassVar[tuple[float, ...]] = (0.05, 0.1, 0.15, 0.2, 0.3)

    def __post_init__(self) -> None:
        """Raises UserError for parameters out of range."""
        require_between("depth", self.depth, 0.0, 1.0)
        require_between("smooth_um", self.smooth_um, 0.0, 10.0)

    def part(self, piece: np.ndarray, maps: np.ndarray, microns_per_px: float) -> np.ndarray:
        """Returns the nuclei of a piece, int32 [h, w]. See `Parting.part`."""
        return part_by_distance(piece, maps, depth=self.depth, smooth_px=self.smooth_um / microns_per_px)


def part_by_distance(piece: np.ndarray, maps: np.ndarray, *, depth: float, smooth_px: float) -> np.ndarray:
    """Parts one connected piece of foreground between the summits of the smoothed map.

    Args:
      piece: bool [h, w], 4-connected; what lies outside counts as background.
      maps: float32 [h, w, 1], nominally 0 (border) to 1 (centre of a nucleus); 0 outside of the piece, whatever they
        hold there.
      depth: see `DistanceParting`.
      smooth_px: standard deviation of the Gaussian; 0 = none.

    Returns:
      int32 [h, w]: 0 outside, else 1, 2, ...; each 4-connected.
    """
    return part_at_passes(piece, smoothed(np.where(piece, maps[..., 0], 0.0), smooth_px), depth)
