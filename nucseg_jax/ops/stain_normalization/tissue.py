"""Tissue by its optical density: statistics of stains are of it, and images without it have none."""

from typing import TypeVar

import jax
import numpy as np

Array = TypeVar("Array", np.ndarray, jax.Array)

# Macenko et al. 2009's beta, of the length of the vector of a pixel's densities, which are to base 10 there and here.
# HistomicsTK has the same (16 in its units). Many codes take natural logarithms and keep the number: their threshold
# is .065 here.
FAINTEST = 0.15
# Share of an image below which it is left as it is: dust and noise on glass have no stains to measure.
LEAST_SHARE = 0.01


def is_tissue(density: Array) -> Array:
    """Returns where a pixel's optical density, base 10, float [..., 3], is above `FAINTEST`: bool [...]."""
    found: Array = (density * density).sum(axis=-1) > FAINTEST**2
    return found


def has_enough(tissue: Array) -> Array:
    """Returns whether `LEAST_SHARE` of a mask, bool [...], is tissue: bool []."""
    enough: Array = tissue.sum() >= max(1.0, LEAST_SHARE * tissue.size)
    return enough
