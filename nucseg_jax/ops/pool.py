"""Spatial pooling on [N, H, W, C]."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from nucseg_jax.ops.lowering import lowerings


def max_pool_3x3_stride_2_reference(image: jax.Array) -> jax.Array:
    """Zero-pads by 1 on all sides and takes 3x3 maxima at stride 2 (Keras pool1_pad, pool1_pool).

    Returns:
      [N, (H + 1) // 2, (W + 1) // 2, C].
    """
    padded = jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    maxima: jax.Array = lax.reduce_window(padded, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")
    return maxima


def max_pool_3x3_stride_2(image: jax.Array) -> jax.Array:
    """`max_pool_3x3_stride_2_reference`, lowered for the platform; argument and result as there."""
    if lowerings().max_pool == "slices":
        return max_pool_3x3_stride_2_slices(image)
    return max_pool_3x3_stride_2_reference(image)


def max_pool_3x3_stride_2_slices(image: jax.Array) -> jax.Array:
    """The maximum of nine strided slices, whose gradient is far cheaper on CPU; tied maxima share the gradient."""
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
