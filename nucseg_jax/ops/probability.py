"""Logits to probabilities, and the one rule of what is nucleus, for scores, pictures, `predict` and calibration alike.

Notation: logits [N, H, W, C]; F foreground classes: 1 when C = 1, else C - 1 (class 0 is background).

A pixel is nucleus where the probability of any nucleus, the sum over the F classes, exceeds the threshold: `>`, and 0.5
in every score. Its class is the likeliest of the F, the first of equals; all else is background. With one logit that
is logit > 0 in a score. The largest of C logits would be another mask: background at .4 wins against two classes of .3
each, which together are nucleus at .6.

Kept probabilities are levels, whole 255ths: the nearest one, but on the threshold's own side, so that
level > floor(255 * threshold) exactly where probability > threshold. A level is at most 1 / 255 off.
"""

import math
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

THRESHOLD = 0.5
FOREGROUND_RULE = (
    "summed probability of the nucleus classes > threshold (0.5 in scores); class: the likeliest of them"
)
_LEVELS = 255

Array = TypeVar("Array", np.ndarray, jax.Array)


def foreground_probability(logits: jax.Array) -> jax.Array:
    """Computes the probability of each foreground class: the sigmoid of one logit, or the softmax without background.

    Args:
      logits: floating [N, H, W, C], C = 1 or background first.

    Returns:
      float32 [N, H, W, F], 0..1; float64 for float64 logits.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    if logits.shape[-1] == 1:
        return jax.nn.sigmoid(logits)
    return jax.nn.softmax(logits, axis=-1)[..., 1:]


def foreground_truth(label: jax.Array, num_classes: int) -> jax.Array:
    """float32 [N, H, W, F], 0 or 1, from label uint8 [N, H, W]; one class means any nucleus."""
    if num_classes == 1:
        return (label > 0).astype(jnp.float32)[..., None]
    return jax.nn.one_hot(label, num_classes, dtype=jnp.float32)[..., 1:]


def predicted_label(logits: jax.Array) -> jax.Array:
    """Returns the class of each pixel, by the rule at 0.5.

    Args:
      logits: floating [N, H, W, C], C = 1 or background first.

    Returns:
      int32 [N, H, W]: 0 background, else the class, 1..C-1; 1 where there is one logit.
    """
    if logits.shape[-1] == 1:
        return (logits[..., 0] > 0).astype(jnp.int32)
    is_nucleus = nucleus_probability(logits) > THRESHOLD
    return jnp.where(is_nucleus, jnp.argmax(logits[..., 1:], axis=-1) + 1, 0).astype(jnp.int32)


def nucleus_probability(logits: jax.Array) -> jax.Array:
    """float32 [N, H, W], 0..1: the probability of any nucleus."""
    return any_nucleus(foreground_probability(logits))


def nucleus_level(logits: jax.Array) -> jax.Array:
    """uint8 [N, H, W]: the probability of any nucleus in 255ths, above 127 exactly where `predicted_label` > 0."""
    is_nucleus = predicted_label(logits) > 0
    return levels(nucleus_probability(logits), is_nucleus, lowest_nucleus_level(THRESHOLD))


def any_nucleus(probability: Array) -> Array:
    """[..., F], the probability of each class, to [...], 0..1, that of any."""
    if probability.shape[-1] == 1:
        of_one: Array = probability[..., 0]
        return of_one
    # A sum of rounded shares may exceed 1 by their rounding.
    total: Array = probability.sum(axis=-1).clip(0.0, 1.0)
    return total


def lowest_nucleus_level(threshold: float) -> int:
    """The lowest level that is nucleus, floor(255 * threshold) + 1.

    Args:
      threshold: 0 <= threshold < 1.

    >>> [lowest_nucleus_level(threshold) for threshold in (0.0, 0.3, 0.5, 0.8, 0.999)]
    [1, 77, 128, 205, 255]
    """
    return math.floor(_LEVELS * threshold) + 1


def levels(probability: Array, is_nucleus: Array, lowest: int) -> Array:
    """Probabilities in 255ths, `lowest` and above exactly where nucleus is.

    Args:
      probability: floating, any shape; what is not a number becomes 0.
      is_nucleus: bool, same shape: probability > threshold.
      lowest: `lowest_nucleus_level` of that threshold.

    Returns:
      uint8 of the same shape.

    >>> levels(np.array([0.4, 0.4001, 0.5]), np.array([False, True, True]), lowest_nucleus_level(0.4)).tolist()
    [102, 103, 128]
    """
    xp = jnp if isinstance(probability, jax.Array) else np
    # In numpy `where` and `nan_to_num` took 30 times as long as the rest together.
    nearest = xp.rint(_LEVELS * xp.fmin(xp.fmax(probability, 0.0), 1.0)).astype(np.uint8)
    least = is_nucleus * np.uint8(lowest)
    most = is_nucleus * np.uint8(_LEVELS + 1 - lowest) + np.uint8(lowest - 1)
    level: Array = xp.minimum(xp.maximum(nearest, least), most)
    return level
