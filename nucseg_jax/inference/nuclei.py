"""Foreground to nuclei: touching ones are parted by a watershed on the distance to the background.

Each connected piece of foreground (4-connected) is looked at by itself, so that the result does not depend on what is
around it, nor on the window through which it is seen.
"""

import dataclasses

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from nucseg_jax.core.errors import UserError

# An ellipse has the ratio of its axes; two equal disks that touch have 2.
_COMPACT = 1.5
_EIGHT: np.ndarray = np.ones((3, 3), bool)


@dataclasses.dataclass(frozen=True)
class NucleusRule:
    """What counts as a nucleus, in microns, so that it holds at any resolution.

    Attributes:
      threshold: probability above which a pixel is foreground, 0 <= threshold < 1.
      neck_um: two nuclei are parted where the piece is narrower than at both of their centres by this much on each
        side of its middle line.
      smallest_um2: smaller ones are dropped. A lymphocyte, the smallest whole nucleus, has some 25.
      tallest_um: a connected piece that is taller than this may be cut where a strip of the image ends; a bound on
        memory, not a size of nuclei.
    """

    threshold: float = 0.5
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
        """The lowest level, in 255ths, that is foreground.

        >>> NucleusRule(threshold=0.5).threshold_level
        128
        """
        return int(np.floor(255 * self.threshold)) + 1


def part(piece: np.ndarray, neck_px: float) -> np.ndarray:
    """Parts one connected piece of foreground into nuclei.

    A piece of at most 1.5 times the area of the largest disk inside it is one. Else markers are the maxima of the
    distance to the background that stand out by `neck_px` (h-maxima: Soille, Morphological Image Analysis, section
    6.3), and the watershed of the negative distance floods from them.

    Args:
      piece: bool [h, w], 4-connected; what lies outside counts as background.
      neck_px: h.

    Returns:
      int32 [h, w]: 0 outside, else 1, 2, ...; each 4-connected.
    """
    padded = np.pad(piece, 1)
    distance = ndimage.distance_transform_edt(padded)
    if np.count_nonzero(piece) <= _COMPACT * np.pi * distance.max() ** 2:
        return piece.astype(np.int32)
    lowered = reconstruction(np.maximum(distance - neck_px, 0.0), distance, footprint=_EIGHT)
    markers, found = label(local_maxima(lowered) & padded, connectivity=2, return_num=True)
    if found <= 1:
        return piece.astype(np.int32)
    return watershed(-distance, markers, mask=padded, connectivity=1)[1:-1, 1:-1].astype(np.int32)


def find_nuclei(foreground: np.ndarray, *, neck_px: float, smallest_px: float) -> np.ndarray:
    """All nuclei of a whole foreground.

    Args:
      foreground: bool [H, W].
      neck_px: see `part`.
      smallest_px: nuclei of fewer pixels are dropped.

    Returns:
      uint32 [H, W]: 0 background, else 1, 2, ... without gaps.
    """
    pieces, _ = ndimage.label(foreground)
    nuclei = np.zeros(foreground.shape, np.uint32)
    found = 0
    for number, where in enumerate(ndimage.find_objects(pieces), start=1):
        found += place(
            nuclei[where], pieces[where] == number, found, neck_px=neck_px, smallest_px=smallest_px
        )
    return nuclei


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
