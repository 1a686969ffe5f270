"""Parts a piece of foreground at its necks, by its shape alone: the decoder of a model without an instance head."""

import dataclasses
from typing import ClassVar

import numpy as np
from scipy import ndimage

from nucseg_jax.heads.decoding.parameter_range import require_between
from nucseg_jax.heads.decoding.part_at_passes import part_at_passes

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
        """Returns the nuclei of a piece, int32 [h, w]; the maps are not read. See `Parting.part`."""
        return part_by_shape(piece, self.neck_um / microns_per_px)


def part_by_shape(piece: np.ndarray, neck_px: float) -> np.ndarray:
    """Parts one connected piece of foreground into nuclei.

    A piece of at most 1.5 times the area of the largest disk inside it is one. Else the distance to the background is
    parted at its passes (`part_at_passes`).

    Args:
      piece: bool [h, w], 4-connected; what lies outside counts as background.
      neck_px: depth of a neck, in px of distance to the background.

    Returns:
      int32 [h, w]: 0 outside, else 1, 2, ...; each 4-connected.
    """
    distance = ndimage.distance_transform_edt(np.pad(piece, 1))[1:-1, 1:-1]
    if np.count_nonzero(piece) <= _COMPACT * np.pi * distance.max() ** 2:
        return piece.astype(np.int32)
    return part_at_passes(piece, distance, neck_px)
