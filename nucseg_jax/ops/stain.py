"""Stained light: between intensity, optical density and amounts of dye (Ruifrok & Johnston 2001).

Beer and Lambert: a slice that holds `amounts` of S dyes lets through `I = I0 * 10^-(amounts @ vectors)`, with
one row of absorption in R, G, B per dye. Axes: [..., 3] red, green, blue; [..., S] dyes. NumPy arrays and JAX
arrays both work, and each gives its own kind back.
"""

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from skimage.color import rgb_from_hed

if TYPE_CHECKING:
    import jax

Array = TypeVar("Array", np.ndarray, "jax.Array")

# Rows: haematoxylin, eosin, DAB, each [R, G, B], as published; scikit-image carries the same figures.
RUIFROK_VECTORS: np.ndarray = np.asarray(rgb_from_hed)
HEMATOXYLIN, EOSIN = 0, 1

# One grey level of an 8-bit image: black is as dense as the darkest level that can be told from it.
_DARKEST = 1.0
_WHITE = 255.0


def optical_density(rgb: Array) -> Array:
    """Optical density of an image, eq. 1 of Ruifrok & Johnston 2001: -log10(I / I0).

    Args:
      rgb: [..., 3], 0..255 = I0, where nothing absorbs; below one grey level counts as one grey level.

    Returns:
      float [..., 3]; 0 = white, 2.41 = black of an 8-bit image; negative where brighter than white.
    """
    xp = rgb.__array_namespace__()
    density: Array = -xp.log10(xp.clip(rgb, min=_DARKEST) / _WHITE)
    return density


def transmitted(density: Array, *, white: Array | float = _WHITE) -> Array:
    """Intensity behind a density, the inverse of `optical_density`: I0 * 10^-density, float [..., 3].

    >>> round(float(transmitted(np.float64(1.0))), 3)
    25.5
    """
    return white * 10.0**-density


def stained(amounts: Array, vectors: np.ndarray = RUIFROK_VECTORS) -> Array:
    """Optical density of mixed dyes: amounts [..., S] times vectors [S, 3] gives [..., 3]."""
    density: Array = amounts @ vectors
    return density


def stain_amounts(rgb: Array) -> Array:
    """Amounts of three dyes in each pixel: colour deconvolution of Ruifrok & Johnston 2001.

    Unlike scikit-image's `rgb2hed`, amounts below zero are kept: they say that a colour lies outside the
    cone of the three dyes, and cutting them off moves the histogram on which thresholds are found.

    Args:
      rgb: [..., 3], 0..255.

    Returns:
      float [..., 3]: amounts in the order of `RUIFROK_VECTORS`' rows; in units of the row's length.
    """
    return unmixed(optical_density(rgb))


def unmixed(density: Array) -> Array:
    """Amounts of dye [..., 3] by optical density [..., 3], the inverse of `stained`; linear, so means go through it."""
    amounts: Array = density @ np.linalg.inv(RUIFROK_VECTORS)
    return amounts
