"""Segmentation losses: `loss(logits, label) -> float32 [N]`.

Notation: logits [N, H, W, C]; label uint8 [N, H, W], 0 = background. Masking and the mean over the batch
happen once, in the training step.
"""

import jax
import jax.numpy as jnp

from nucseg_jax.ops.probability import foreground_probability, foreground_truth


def soft_dice(
    logits: jax.Array, label: jax.Array, *, reduce: str = "image", smooth: float = 1e-6
) -> jax.Array:
    """Eq. 4 of the paper, read as 1 - (2 sum pg + smooth) / (sum p^2 + sum g^2 + smooth) of the foreground.

    An empty patch that is predicted empty costs nothing; an empty patch with any prediction costs almost 1.
    With several foreground classes it is their plain mean (eq. 4 prints class weights it does not define).

    Args:
      logits: floating [N, H, W, C], C = 1 or background first.
      label: uint8 [N, H, W], 0..C-1 (any positive number is nucleus when C = 1).
      reduce: 'image' forms the ratio for each image, 'batch' once for all images together.
      smooth: > 0; keeps the ratio defined on empty patches.

    Returns:
      float32 [N], 0..1 (float64 for float64 logits); all equal when `reduce` is 'batch'.
    """
    probability = foreground_probability(logits)
    truth = foreground_truth(label, logits.shape[-1])
    axes = (0, 1, 2) if reduce == "batch" else (1, 2)
    overlap = jnp.sum(probability * truth, axes)
    total = jnp.sum(jnp.square(probability), axes) + jnp.sum(truth, axes)
    loss = jnp.mean(1.0 - (2.0 * overlap + smooth) / (total + smooth), axis=-1)
    return jnp.broadcast_to(loss, logits.shape[:1])
