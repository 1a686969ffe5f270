"""A little out of focus: Gaussian blur."""

import math

import jax
import jax.numpy as jnp


def random_blur(image: jax.Array, keys: jax.Array, *, sigma_px: float) -> jax.Array:
    """Applies `gaussian_blur` with each example's own standard deviation, drawn uniformly from 0..sigma_px.

    Args:
      image: float32 [N, H, W, 3].
      keys: typed random keys [N].
      sigma_px: > 0; the window reaches 3 of them.
    """
    drawn = jax.vmap(lambda key: jax.random.uniform(key, maxval=sigma_px))(keys)
    return gaussian_blur(image, drawn, radius_px=math.ceil(3 * sigma_px))


def gaussian_blur(image: jax.Array, sigma_px: jax.Array, *, radius_px: int) -> jax.Array:
    """Convolves each image with its own sampled Gaussian, first down the columns, then along the rows.

    Args:
      image: float32 [N, H, W, C]; continued beyond its edges by reflection, edge pixels once.
      sigma_px: standard deviations, float32 [N]; 0 leaves the image as it is.
      radius_px: half the window without the middle, smaller than H and W.

    Returns:
      float32 [N, H, W, C].
    """
    offsets = jnp.arange(-radius_px, radius_px + 1, dtype=image.dtype)
    # The floor keeps 0 / 0 out of the middle.
    weights = jnp.exp(-0.5 * jnp.square(offsets / jnp.maximum(sigma_px, 1e-3)[:, None]))
    weights /= jnp.sum(weights, axis=1, keepdims=True)
    for axis in (1, 2):
        padding = [(radius_px, radius_px) if axis == padded else (0, 0) for padded in range(4)]
        padded, size = jnp.pad(image, padding, mode="reflect"), image.shape[axis]
        # Shifted sums, not a convolution: every image has its own window.
        image = sum(
            (
                weights[:, shift, None, None, None]
                * jax.lax.slice_in_dim(padded, shift, shift + size, axis=axis)
                for shift in range(2 * radius_px + 1)
            ),
            jnp.zeros((), image.dtype),
        )
    return image
