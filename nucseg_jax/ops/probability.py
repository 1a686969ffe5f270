"""Logits to foreground probabilities, for one logit and for many.

Notation: logits [N, H, W, C]; F foreground classes: 1 when C = 1, else C - 1 (class 0 is background).
"""

import jax
import jax.numpy as jnp


def foreground_probability(logits: jax.Array) -> jax.Array:
    """float32 [N, H, W, F], 0..1: the sigmoid of one logit, or the softmax without its background.

    float64 for float64 logits.
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
    """int32 [N, H, W]: 1 where one logit is above 0, else the class of the largest, the lower on a tie."""
    if logits.shape[-1] == 1:
        return (logits[..., 0] > 0).astype(jnp.int32)
    return jnp.argmax(logits, axis=-1).astype(jnp.int32)


def nucleus_level(logits: jax.Array) -> jax.Array:
    """uint8 [N, H, W]: the probability of any nucleus in 255ths, rounded; what is not a number becomes 0."""
    return jnp.rint(255.0 * jnp.nan_to_num(jnp.clip(nucleus_probability(logits), 0.0, 1.0))).astype(jnp.uint8)


def nucleus_probability(logits: jax.Array) -> jax.Array:
    """float32 [N, H, W], 0..1: the probability of any nucleus."""
    return jnp.sum(foreground_probability(logits), axis=-1)
