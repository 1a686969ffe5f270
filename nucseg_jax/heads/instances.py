"""Reductions over the pixels of each nucleus, for target maps; jit-able.

Ids are those of one image, 1 to 65,535 as uint16 has them; 0 is background. An id may be missing, as it is in a tile
that its nucleus does not reach.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

# What is stored is uint16.
IDS = 1 << 16


def sum_by_nucleus(values: jax.Array, instance: jax.Array) -> jax.Array:
    """Adds up values over the pixels of each nucleus and gives every pixel its nucleus's sum.

    Args:
      values: float32 [N, H, W].
      instance: int32 [N, H, W], 0..65535.

    Returns:
      float32 [N, H, W]; of no meaning outside nuclei.
    """
    return _reduced(jax.ops.segment_sum, values, instance)


def largest_by_nucleus(values: jax.Array, instance: jax.Array) -> jax.Array:
    """Finds the largest value of each nucleus and gives it to every pixel; arguments as in `sum_by_nucleus`."""
    return _reduced(jax.ops.segment_max, values, instance)


def _reduced(reduce: Callable[..., jax.Array], values: jax.Array, instance: jax.Array) -> jax.Array:
    shape = values.shape[1:]

    def of_image(values: jax.Array, instance: jax.Array) -> jax.Array:
        ids = instance.reshape(-1)
        totals = reduce(values.reshape(-1), ids, num_segments=IDS)
        return totals[ids].reshape(shape)

    return jax.vmap(of_image)(values, instance)


def squared_distance_to_others(instance: jax.Array) -> jax.Array:
    """Computes the squared Euclidean distance from each pixel to the nearest one of another id, or of none.

    What lies outside the image is no border. Exact: along rows first, then along columns (Felzenszwalb and
    Huttenlocher 2012), where a pixel of another id in the same column is itself the nearest of its row. The second
    pass looks as far as the widest nucleus needs and no farther.

    Args:
      instance: int32 [N, H, W].

    Returns:
      float32 [N, H, W], px^2, inf where an image has one id only.
    """
    in_row = _squared_distance_in_row(instance)
    height = instance.shape[1]
    rows = jnp.arange(height)
    is_nucleus = instance > 0

    def shifted(values: jax.Array, by: jax.Array) -> jax.Array:
        return jnp.take(values, jnp.clip(rows + by, 0, height - 1), axis=1)

    def is_needed(carry: tuple[jax.Array, jax.Array]) -> jax.Array:
        by, nearest = carry
        widest = jnp.max(jnp.where(is_nucleus, nearest, 0.0))
        return (by < height) & (jnp.square(by.astype(jnp.float32)) < widest)

    def look(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        by, nearest = carry
        squared = jnp.square(by.astype(jnp.float32))
        for sign in (-1, 1):
            exists = ((rows + sign * by >= 0) & (rows + sign * by < height))[None, :, None]
            other = shifted(instance, sign * by) != instance
            found = squared + jnp.where(other, 0.0, shifted(in_row, sign * by))
            nearest = jnp.where(exists, jnp.minimum(nearest, found), nearest)
        return by + 1, nearest

    _, nearest = jax.lax.while_loop(is_needed, look, (jnp.int32(1), in_row))
    return nearest


def _squared_distance_in_row(instance: jax.Array) -> jax.Array:
    """The same along rows alone: float32 [N, H, W]."""
    width = instance.shape[2]
    column = jnp.arange(width, dtype=jnp.int32)
    far = jnp.int32(4 * width)
    changes = instance[..., 1:] != instance[..., :-1]
    edge = jnp.ones((*instance.shape[:2], 1), bool)
    # The last column of another id to the left, and the first to the right.
    left = jnp.where(jnp.concatenate([~edge, changes], axis=2), column - 1, -far)
    right = jnp.where(jnp.concatenate([changes, ~edge], axis=2), column + 1, width + far)
    left = jax.lax.cummax(left, axis=2)
    right = jax.lax.cummin(right, axis=2, reverse=True)
    nearest = jnp.minimum(column - left, right - column)
    return jnp.where(nearest >= far, jnp.inf, jnp.square(nearest.astype(jnp.float32)))
