"""Batch normalization as pure maths (arXiv:1502.03167, algorithm 1).

Notation: image [N, H, W, C]; statistics [C]; n = N * H * W values a channel.
"""

import jax
import jax.numpy as jnp


def channel_moments(image: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of each channel in one pass, E[x^2] - E[x]^2.

    In float32 the variance is off by some 3e-7 * mean^2: a channel needs a standard deviation above a hundredth of its
    mean for three digits of it (3e-5 of the variance where the mean is ten of them, measured on 8 x 256 x 256 values).

    Args:
      image: floating [N, H, W, C]; under jit with a sharded batch the moments are those of the whole batch.

    Returns:
      Mean and variance, [C] each, at least float32; the variance is never negative.
    """
    image = image.astype(jnp.promote_types(image.dtype, jnp.float32))
    mean = jnp.mean(image, axis=(0, 1, 2))
    mean_of_squares = jnp.mean(jnp.square(image), axis=(0, 1, 2))
    return mean, jnp.maximum(mean_of_squares - jnp.square(mean), 0.0)


def normalise(
    image: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    scale: jax.Array,
    offset: jax.Array,
    *,
    epsilon: float,
) -> jax.Array:
    """(image - mean) / sqrt(variance + epsilon) * scale + offset, as one multiply-add a value.

    Returns:
      [N, H, W, C] in the wider of the dtypes of image and statistics.
    """
    factor = scale * jax.lax.rsqrt(variance + epsilon)
    return image * factor.reshape(1, 1, 1, -1) + (offset - mean * factor).reshape(1, 1, 1, -1)
