"""Remarks on an image that was predicted without an error and deserves a second look."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from nucseg_jax.inference.tiling.tissue import averaged, tissue_mask
from nucseg_jax.ops.stain import optical_density

# Of a thousand samples one may lie outside: hot pixels, a scale bar, dust.
_OUTSIDE = 1e-3
_BLACK, _WHITE = 25, 230
# Side of the squares over which noise is averaged, in px.
_SQUARE_PX = 16
# Difference of optical density between the colours, above which a square is stained; glass stays below .03.
_STAINED = 0.05
_LEAST_TISSUE = 0.01

NOT_NORMALIZED = (
    "its stains were not normalised: it has too little tissue to measure them, or one colour alone"
)


class Appearance(NamedTuple):
    """Appearance of an image as a whole.

    Attributes:
      darkest, brightest: levels 0..255, all colours together, but for a thousandth of the samples at each end.
      tissue: share of its area that is stained, or denser than its own glass, 0..1.
    """

    darkest: int
    brightest: int
    tissue: float


def appearance(picture: np.ndarray) -> Appearance:
    """Measures an image, or a smaller copy of all of it, uint8 [h, w, 3]."""
    counts = np.reshape(Image.fromarray(picture).histogram(), (3, 256)).sum(axis=0)
    shares = np.cumsum(counts) / picture.size
    darkest = int(np.searchsorted(shares, _OUTSIDE, side="right"))
    brightest = int(np.searchsorted(shares, 1 - _OUTSIDE))
    squares = averaged(picture, min(_SQUARE_PX, *picture.shape[:2]))
    density = optical_density(squares.astype(np.float32))
    stained = density.max(axis=-1) - density.min(axis=-1) > _STAINED
    return Appearance(darkest, brightest, float(np.mean(stained | tissue_mask(squares))))


def remarks(seen: Appearance, *, nuclei: int) -> list[str]:
    """Lists what is odd about an image and the number of nuclei in it; usually nothing."""
    if seen.brightest <= _BLACK:
        return [
            f"all black (no level above {seen.brightest} of 255):"
            " was it saved with fewer bits than its file has, or is another channel or page the picture?"
        ]
    if seen.darkest >= _WHITE:
        return [f"all white (no level below {seen.darkest} of 255)"]
    if seen.darkest == seen.brightest:
        return [f"all of one grey level, {seen.darkest} of 255"]
    if not nuclei and seen.tissue >= _LEAST_TISSUE:
        return [
            f"no nucleus, although {seen.tissue:.0%} of it looks like tissue: is its scale right (--mpp)?"
        ]
    return []
