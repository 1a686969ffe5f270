"""Spatial pooling on [N, H, W, C]."""

import functools

import jax
import jax.numpy as jnp


def max_pool_3x3_stride_2(image: jax.Array) -> jax.Array:
    """Zero-pads by 1 on all sides and takes 3x3 maxima at stride 2 (Keras pool1_pad, pool1_pool).

    Written as the maximum of nine strided slices, whose gradient is far cheaper on CPU than that of
    XLA's window reduction; tied maxima share the gradient. Zero padding equals Keras only for
    non-negative input, such as what follows a ReLU.

    Returns:
      [N, (H + 1) // 2, (W + 1) // 2, C].
    """
    rows, columns = ((size + 1) // 2 for size in image.shape[1:3])
    padded = jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    slices = [
        padded[:, row : row + 2 * rows - 1 : 2, column : column + 2 * columns - 1 : 2, :]
        for row in range(3)
        for column in range(3)
    ]
    return functools.reduce(jnp.maximum, slices)


def global_average_pool(image: jax.Array) -> jax.Array:
    """The mean over rows and columns, kept as axes: [N, H, W, C] -> [N, 1, 1, C]."""
    return jnp.mean(image, axis=(1, 2), keepdims=True)
