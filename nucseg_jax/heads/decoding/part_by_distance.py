"""Parts a piece by a map of the normalised distance to each nucleus's border."""

import dataclasses
from typing import ClassVar

import numpy as np
from skimage.measure import label

from nucseg_jax.heads.decoding.flood_seeds import flood_seeds
from nucseg_jax.heads.decoding.parameter_range import require_between


@dataclasses.dataclass(frozen=True)
class DistanceParting:
    """Parameters of `part_by_distance`; a `Parting` with one map.

    Attributes:
      seed_above: a pixel belongs to a seed where the map > seed_above.
      head: its name in `PARTINGS`.
    """

    seed_above: float = 0.5
    head: str = dataclasses.field(default="distance", init=False)

    maps: ClassVar[int] = 1
    tuned: ClassVar[str] = "seed_above"
    grid: ClassVar[tuple[float, ...]] = (0.3, 0.4, 0.5, 0.6, 0.7)

    def __post_init__(self) -> None:
        """Raises UserError for a bound outside of the map's range."""
        require_between("seed_above", self.seed_above, 0.0, 1.0)

    def part(self, piece: np.ndarray, maps: np.ndarray, microns_per_px: float) -> np.ndarray:
        """Returns the nuclei of a piece, int32 [h, w]. See `Parting.part`."""
        return part_by_distance(piece, maps, seed_above=self.seed_above)


def part_by_distance(piece: np.ndarray, maps: np.ndarray, *, seed_above: float) -> np.ndarray:
    """Parts one connected piece of foreground between the summits of the map.

    Seeds are the 8-connected regions of the piece where the map > `seed_above`; the watershed floods the map downwards
    from them. A piece without a seed is one nucleus.

    Args:
      piece: bool [h, w], 4-connected; what lies outside counts as background.
      maps: float32 [h, w, 1], nominally 0 (border) to 1 (centre of a nucleus); not read outside of the piece.
      seed_above: see `DistanceParting`.

    Returns:
      int32 [h, w]: 0 outside, else 1, 2, ...; each 4-connected.
    """
    distance = maps[..., 0]
    seeds = label(piece & (distance > seed_above), connectivity=2)
    return flood_seeds(piece, seeds, -distance)
