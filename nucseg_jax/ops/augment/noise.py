"""Noise of the sensor: Gaussian, independent in every pixel and channel."""

import jax

from nucseg_jax.ops.augment.intensity import in_range


def random_noise(image: jax.Array, keys: jax.Array, *, sd: float) -> jax.Array:
    """Applies `gaussian_noise` with each example's own standard deviation, drawn uniformly from 0..sd.

    Args:
      image: float32 [N, H, W, 3], 0..255.
      keys: typed random keys [N].
      sd: in grey levels, > 0.
    """
    strength_keys, pixel_keys = jax.vmap(lambda key: jax.random.split(key))(keys).T
    drawn = jax.vmap(lambda key: jax.random.uniform(key, maxval=sd))(strength_keys)
    return gaussian_noise(image, pixel_keys, drawn)


def gaussian_noise(image: jax.Array, keys: jax.Array, sd: jax.Array) -> jax.Array:
    """Adds noise of its own standard deviation to each image.

    Args:
      image: float32 [N, H, W, 3], 0..255.
      keys: typed random keys [N].
      sd: standard deviations in grey levels, float32 [N]; 0 leaves the image as it is.

    Returns:
      float32 [N, H, W, 3], cut to 0..255.
    """
    noise = jax.vmap(lambda key: jax.random.normal(key, image.shape[1:], image.dtype))(keys)
    return in_range(image + noise * sd[:, None, None, None])
