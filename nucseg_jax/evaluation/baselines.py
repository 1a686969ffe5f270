"""Baselines without learning, whose scores a model must beat. Images uint8 [N, H, W, 3] to bool [N, H, W]."""

from collections.abc import Callable, Mapping

import numpy as np
from skimage.filters import threshold_otsu

from nucseg_jax.ops.stain import HEMATOXYLIN, stain_amounts

Baseline = Callable[[np.ndarray], np.ndarray]


def otsu_hematoxylin(image: np.ndarray) -> np.ndarray:
    """Nucleus = more haematoxylin than the image's own Otsu threshold (Otsu 1979; Ruifrok & Johnston 2001).

    One threshold per image, from a histogram of 256 bins over the image's range. An image of one colour has
    no nuclei.

    Args:
      image: uint8 [N, H, W, 3]; N may be 0.

    Returns:
      bool [N, H, W], True = nucleus.
    """
    found = np.zeros(image.shape[:3], bool)
    for one, answer in zip(image, found, strict=True):
        amount = stain_amounts(one)[..., HEMATOXYLIN]
        answer[...] = amount > threshold_otsu(amount)
    return found


def all_foreground(image: np.ndarray) -> np.ndarray:
    """Everything is nucleus: its Dice is 2f / (1 + f), with f the share of nucleus pixels.

    Args:
      image: uint8 [N, H, W, 3].

    Returns:
      bool [N, H, W], True everywhere.
    """
    return np.ones(image.shape[:3], bool)


BASELINES: Mapping[str, Baseline] = {
    "otsu_hematoxylin": otsu_hematoxylin,
    "all_foreground": all_foreground,
}
