"""Reinhard et al. 2001: every channel of a colour space gets the mean and the standard deviation of the target.

In CIE LAB, and over all pixels of an image, as StainTools, TIAToolbox and torchstain have it; the paper's own space is
Ruderman's l-alpha-beta (HistomicsTK). Background counts and is changed too: an image with more of it than the target
comes out darker.
"""

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

import jax
import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.ops.stain import optical_density
from nucseg_jax.ops.stain_normalization.lab import lab_to_rgb, rgb_to_lab
from nucseg_jax.ops.stain_normalization.tissue import has_enough, is_tissue

Array = TypeVar("Array", np.ndarray, jax.Array)

# Of any channel: greys and images of one colour lie below, and what is divided by it would be their rounding.
_LEAST_DEVIATION = 0.1


class Moments(NamedTuple, Generic[Array]):
    """Colours of an image as a whole.

    Attributes:
      mean: float [3], of L, a and b.
      deviation: float [3], standard deviation, divided by the number of pixels.
      is_usable: bool [], False where the image has too little tissue or colour; it is then left as it is.
    """

    mean: Array
    deviation: Array
    is_usable: Array


def statistics(image: Array) -> Moments[Array]:
    """Measures an image, uint8 [H, W, 3]: in float64 an array of numpy, in float32 one of JAX."""
    xp = image.__array_namespace__()
    rgb = image.astype(float)
    lab = rgb_to_lab(rgb)
    mean = lab.mean(axis=(0, 1))
    deviation = xp.sqrt(((lab - mean) ** 2).mean(axis=(0, 1)))
    has_tissue = has_enough(is_tissue(optical_density(rgb)))
    return Moments(mean, deviation, has_tissue & (deviation > _LEAST_DEVIATION).all())


def apply(image: Array, of_image: Moments[Array], target: Moments[Array]) -> Array:
    """Brings pixels to the target's colours.

    Args:
      image: uint8 [H, W, 3], an image or part of it.
      of_image: statistics of the whole image.
      target: usable ones.

    Returns:
      uint8 [H, W, 3]; `image` itself where `of_image` is not usable.
    """
    xp = image.__array_namespace__()
    usable = xp.asarray(of_image.is_usable)
    deviation = xp.where(usable, of_image.deviation, 1.0)
    factor = (target.deviation / deviation).astype(xp.float32)
    mean, new_mean = (xp.asarray(each, dtype=xp.float32) for each in (of_image.mean, target.mean))
    lab = (rgb_to_lab(image.astype(xp.float32)) - mean) * factor + new_mean
    changed: Array = xp.where(usable, xp.rint(lab_to_rgb(lab)).astype(xp.uint8), image)
    return changed


def pooled(images: Iterable[np.ndarray], count: int) -> Moments[np.ndarray]:
    """Measures images together: mean and standard deviation of all pixels of those that are usable.

    Args:
      images: uint8 [H, W, 3] each.
      count: how many there are; not needed here.

    Raises:
      UserError: none of them is usable.
    """
    del count
    pixels, mean, squares = 0, np.zeros(3), np.zeros(3)
    for image in images:
        found = statistics(image)
        if not found.is_usable:
            continue
        # Merged as by Chan, Golub, LeVeque 1983, eq. 2.1.
        number = image.shape[0] * image.shape[1]
        apart = found.mean - mean
        share = number / (pixels + number)
        squares += number * found.deviation**2 + apart**2 * pixels * share
        mean += apart * share
        pixels += number
    if not pixels:
        raise UserError(
            "no image has colours to normalise others to: all are blank or grey",
            expected="images of stained tissue",
        )
    return Moments(mean, np.sqrt(squares / pixels), np.asarray(True))
