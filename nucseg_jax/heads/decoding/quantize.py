"""Outputs of a model as whole levels: a byte for each where rows of a slide wait, a quarter of float32's memory.

Maps of an instance head are 127ths. On perfect maps of real masks, blurred or not, nuclei decoded from levels score
the bPQ of float32 to within .0012 (`benchmarks/decoding_ceilings.py`).
"""

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.ops.levels import Array

LEVELS = 127


def nearest_map_levels(maps: Array) -> Array:
    """Rounds finite maps to levels, as numpy's arrays or as JAX's; arguments and result as in `map_levels`."""
    xp = maps.__array_namespace__()
    rounded: Array = xp.rint(xp.clip(maps, -1.0, 1.0) * LEVELS).astype(np.int8)
    return rounded


def nearest_class_levels(probability: Array) -> Array:
    """Rounds probabilities to levels, as numpy's arrays or as JAX's; arguments and result as in `class_levels`."""
    xp = probability.__array_namespace__()
    rounded: Array = xp.rint(xp.minimum(probability, 1.0) * 255).astype(np.uint8)
    return rounded


def map_levels(maps: np.ndarray) -> np.ndarray:
    """Rounds maps to levels.

    Args:
      maps: floating, any shape, nominally -1..1; clipped to that.

    Returns:
      int8 of the same shape, -127..127: the nearest 127th, of two the even one.

    Raises:
      UserError: a value is not finite; rounded, it would count as some number.

    >>> map_levels(np.array([-1.5, -0.5, 0.0, 0.3, 1.0])).tolist()
    [-127, -64, 0, 38, 127]
    """
    if not np.isfinite(maps).all():
        raise UserError(
            "the maps of the instance head are not numbers",
            expected="-1 to 1",
            advice="train the model again, in float32 if it was bfloat16: its weights or activations overflow",
        )
    return nearest_map_levels(maps)


def maps_of_levels(levels: np.ndarray) -> np.ndarray:
    """Returns int8 levels as maps again, float32 of the same shape, -1..1."""
    return levels.astype(np.float32) / np.float32(LEVELS)


def class_levels(probability: np.ndarray) -> np.ndarray:
    """Rounds probabilities of classes, the softmax without background, to whole 255ths: a byte each where rows wait.

    Args:
      probability: floating [..., C], 0..1.

    Returns:
      uint8 [..., C].

    Raises:
      UserError: a value is no probability.

    >>> class_levels(np.array([0.25, 0.6, 0.0])).tolist()
    [64, 153, 0]
    """
    if not ((probability >= 0) & (probability <= 1 + 1e-5)).all():
        raise UserError("the probabilities of classes are not between 0 and 1", expected="0 to 1")
    return nearest_class_levels(probability)
