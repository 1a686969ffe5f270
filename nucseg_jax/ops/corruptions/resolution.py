"""A slide scanned with larger pixels, brought back to the model's grid."""

import math

import jax
import jax.numpy as jnp

FACTORS = (1.25, 1.5, 2.0, 3.0, 4.0)


def coarsened(image: jax.Array, keys: jax.Array, value: jax.Array, microns_per_px: float) -> jax.Array:
    """Averages over larger pixels, then interpolates linearly back to the grid, as `predict` does with such a slide.

    Args:
      image: float32 [N, H, W, 3].
      keys, microns_per_px: not used; nothing is drawn, and the factor has no unit.
      value: microns of a larger pixel by those of a pixel, float32 [], 1 to the last of `FACTORS`. The nearest factor
        with a whole number of larger pixels is taken.
    """
    del keys, microns_per_px
    for axis in (1, 2):
        image = jax.lax.optimization_barrier(_coarsened_along(image, value, axis))
    return image


def _coarsened_along(image: jax.Array, factor: jax.Array, axis: int) -> jax.Array:
    length = image.shape[axis]
    count = jnp.maximum(jnp.round(length / factor), 1.0)
    span = length / count
    numbers = jnp.arange(length, dtype=jnp.float32)

    def taken(values: jax.Array, position: jax.Array, weight: jax.Array) -> jax.Array:
        shape = [1] * image.ndim
        shape[axis] = length
        at = jnp.clip(position, 0, length - 1).astype(jnp.int32)
        return jnp.take(values, at, axis=axis) * weight.reshape(shape)

    # The larger pixels: number j covers j * span to (j + 1) * span; those from `count` on are not looked at.
    begin = numbers * span
    coarse = jnp.zeros_like(image)
    for step in range(math.ceil(FACTORS[-1]) + 2):
        pixel = jnp.floor(begin) + step
        overlap = jnp.minimum(pixel + 1.0, begin + span) - jnp.maximum(pixel, begin)
        coarse += taken(image, pixel, jnp.maximum(overlap, 0.0) / span)
    # Computed once, not for each pixel that is interpolated from it.
    coarse = jax.lax.optimization_barrier(coarse)
    # And back, from the centres of two of them.
    centre = jnp.clip((numbers + 0.5) / span - 0.5, 0.0, count - 1.0)
    below = jnp.minimum(jnp.floor(centre), count - 1.0)
    share = centre - below
    return taken(coarse, below, 1.0 - share) + taken(coarse, jnp.minimum(below + 1.0, count - 1.0), share)
