"""Logits to probabilities, and the one rule of what is nucleus, for scores, pictures, `predict` and calibration alike.

Notation: logits [N, H, W, C]; F foreground classes: 1 when C = 1, else C - 1 (class 0 is background).

A pixel is nucleus where the probability of any nucleus, the sum over the F classes, exceeds the threshold: `>`, and 0.5
in every score. Its class is the likeliest of the F, the first of equals; all else is background. With one logit that
is logit > 0 in a score. The largest of C logits would be another mask: background at .4 wins against two classes of .3
each, which together are nucleus at .6.

Kept probabilities are levels, whole 255ths; see `ops.levels`.
"""

import jax
import jax.numpy as jnp

from nucseg_jax.ops.levels import THRESHOLD, any_nucleus, levels, lowest_nucleus_level

FOREGROUND_RULE = (
    "summed probability of the nucleus classes > threshold (0.5 in scores); class: the likeliest of them"
)


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
