"""Layer normalization over channels as pure maths (arXiv:1607.06450).

Notation: image [N, H, W, C]; scale and offset [C]; every pixel is normalised on its own.
"""

import jax
import jax.numpy as jnp


def normalise_channels(image: jax.Array, scale: jax.Array, offset: jax.Array, *, epsilon: float) -> jax.Array:
    """Computes (x - mean) / sqrt(variance + epsilon) * scale + offset with each pixel's own mean and variance.

    The variance is the mean squared distance from the mean (divided by C), in two passes, as PyTorch has it: none of
    the digits of E[x^2] - E[x]^2 are lost where the mean is large.

    Returns:
      [N, H, W, C], at least float32.
    """
    image = image.astype(jnp.promote_types(image.dtype, jnp.float32))
    centred = image - jnp.mean(image, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    scale, offset = (values.reshape(1, 1, 1, -1) for values in (scale, offset))
    return centred * jax.lax.rsqrt(variance + epsilon) * scale + offset
