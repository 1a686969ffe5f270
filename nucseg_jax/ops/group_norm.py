"""Group normalization as pure maths (arXiv:1803.08494).

Notation: image [N, H, W, C] in G groups of C/G adjacent channels; scale and offset [C].
"""

import jax
import jax.numpy as jnp


def normalise_groups(
    image: jax.Array, scale: jax.Array, offset: jax.Array, *, groups: int, epsilon: float
) -> jax.Array:
    """Computes (x - mean) / sqrt(variance + epsilon) * scale + offset over the pixels and channels of each group.

    Every image is normalised on its own, so that no result depends on the batch. Two passes, as in `layer_norm`.

    Args:
      image: floating [N, H, W, C].
      scale, offset: [C].
      groups: G, a divisor of C.
      epsilon: added to the variance.

    Returns:
      [N, H, W, C], at least float32.
    """
    N, H, W, C = image.shape
    grouped = image.astype(jnp.promote_types(image.dtype, jnp.float32)).reshape(N, H, W, groups, C // groups)
    centred = grouped - jnp.mean(grouped, axis=(1, 2, 4), keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=(1, 2, 4), keepdims=True)
    normalised = (centred * jax.lax.rsqrt(variance + epsilon)).reshape(N, H, W, C)
    return normalised * scale.reshape(1, 1, 1, C) + offset.reshape(1, 1, 1, C)
