"""Foreground to nuclei, piece by piece.

Each connected piece of foreground (4-connected) is looked at by itself, so that the result does not depend on what is
around it, nor on the window through which it is seen. How a piece is parted is up to the rule's `Parting`.
"""

import dataclasses

import numpy as np
from scipy import ndimage

from nucseg_jax.core.errors import UserError
from nucseg_jax.heads.decoding.parameter_range import require_between
from nucseg_jax.heads.decoding.part_by_shape import ShapeParting
from nucseg_jax.heads.decoding.parting import Parting
from nucseg_jax.heads.decoding.quantize import maps_of_levels
from nucseg_jax.ops.levels import THRESHOLD, lowest_nucleus_level


@dataclasses.dataclass(frozen=True)
class NucleusRule:
    """Definition of a nucleus, in microns, so that it holds at any resolution.

    Attributes:
      threshold: a pixel is foreground where the probability of any nucleus > threshold; 0 <= threshold < 1.
      smallest_um2: smaller ones are dropped. A lymphocyte, the smallest whole nucleus, has some 25.
      tallest_um: a connected piece that is taller than this may be cut where a strip of the image ends; a bound on
        memory, not a size of nuclei.
      parting: the decoder of a piece, that of the model's instance head, with its parameters.
    """

    threshold: float = THRESHOLD
    smallest_um2: float = 5.0
    tallest_um: float = 256.0
    parting: Parting = dataclasses.field(default_factory=ShapeParting)

    def __post_init__(self) -> None:
        """Raises UserError for a threshold that is no probability, or a size that is negative or no number."""
        if not 0 <= self.threshold < 1:
            raise UserError(
                f"the threshold is {self.threshold}", expected="a probability, 0 <= threshold < 1"
            )
        require_between("smallest_um2", self.smallest_um2, 0.0, np.inf)
        require_between("tallest_um", self.tallest_um, 0.0, np.inf)

    @property
    def threshold_level(self) -> int:
        """The lowest level, in 255ths, that is foreground; see `ops.levels`.

        >>> NucleusRule(threshold=0.5).threshold_level
        128
        """
        return lowest_nucleus_level(self.threshold)

    def require_maps(self, shape: tuple[int, ...], maps: np.ndarray | None) -> np.ndarray:
        """Returns the maps of an image or a band of it, int8 [h, w, M]; without columns where the rule needs none.

        A rule that parts by shape looks at no map, of whatever head they are.

        Args:
          shape: (h, w).
          maps: int8 [h, w, M] from `quantize.map_levels`, or None if M is 0.

        Raises:
          UserError: the rule needs other maps than there are.
        """
        count = self.parting.maps
        if maps is None or not count:
            maps = np.zeros((*shape, 0), np.int8)
        if maps.shape != (*shape, count) or maps.dtype != np.int8:
            raise UserError(
                f"the maps are {maps.dtype} {list(maps.shape)}",
                expected=f"int8 {[*shape, count]}, of the instance head {self.parting.head!r}",
                advice="give the rule the `parting` of the model's head, and the maps through `map_levels`",
            )
        return maps


def place(
    nuclei: np.ndarray,
    piece: np.ndarray,
    maps: np.ndarray,
    taken: int,
    *,
    rule: NucleusRule,
    microns_per_px: float,
) -> int:
    """Parts a piece and writes its nuclei, numbered from `taken` + 1, into `nuclei`, unsigned or int [h, w].

    Args:
      nuclei: written where the piece is.
      piece: bool [h, w], 4-connected.
      maps: int8 [h, w, M]; see `quantize.map_levels`.
      taken: the last number that is taken.
      rule: what counts as a nucleus.
      microns_per_px: of the piece.

    Returns:
      How many there are.
    """
    smallest_px = rule.smallest_um2 / microns_per_px**2
    if np.count_nonzero(piece) < smallest_px:
        return 0
    parts = rule.parting.part(piece, maps_of_levels(maps), microns_per_px)
    sizes = np.bincount(parts.ravel())
    keeps = sizes >= smallest_px
    keeps[0] = False
    numbers = np.where(keeps, taken + np.cumsum(keeps), 0).astype(nuclei.dtype)
    np.copyto(nuclei, numbers[parts], where=piece)
    return int(keeps.sum())


def find_nuclei(
    level: np.ndarray, maps: np.ndarray | None, rule: NucleusRule, *, microns_per_px: float
) -> np.ndarray:
    """Finds the nuclei of a patch or image that is there as a whole; those of `NucleusStream`, in another order.

    Args:
      level: uint8 [h, w], probability of any nucleus in 255ths; see `ops.levels.levels`.
      maps: int8 [h, w, M] from `quantize.map_levels`, or None for a rule whose `parting` needs none.
      rule: what counts as a nucleus.
      microns_per_px: of the image.

    Returns:
      int32 [h, w]: 0 background, else the number of a nucleus, 1, 2, ... without gaps.

    Raises:
      UserError: the rule needs other maps.
    """
    maps = rule.require_maps(level.shape, maps)
    pieces, _ = ndimage.label(level >= rule.threshold_level)
    nuclei = np.zeros(level.shape, np.int32)
    found = 0
    for number, where in enumerate(ndimage.find_objects(pieces), start=1):
        found += place(
            nuclei[where],
            pieces[where] == number,
            maps[where],
            found,
            rule=rule,
            microns_per_px=microns_per_px,
        )
    return nuclei
