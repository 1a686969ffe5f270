"""Noise of a camera: that of its electronics, and that of the light itself."""

import jax
import jax.numpy as jnp

_WHITE = 255.0


def noisy(image: jax.Array, keys: jax.Array, value: jax.Array, microns_per_px: float) -> jax.Array:
    """Adds Gauss and Poisson noise that have equal shares in the variance of a white pixel.

    The Poisson part is drawn as a Gauss of the same variance, in proportion to the intensity, as Foi et al. (2008) do;
    with the 190 and more photons of a white pixel here the two hardly differ.

    Args:
      image: float32 [N, H, W, 3], 0..255.
      keys: typed random keys [N].
      value: standard deviation of a white pixel in grey levels, float32 []; a black one has its 1/sqrt(2).
      microns_per_px: not used: a sensor's pixels are those of the image.
    """
    del microns_per_px
    drawn = jax.vmap(lambda key: jax.random.normal(key, image.shape[1:], image.dtype))(keys)
    return image + drawn * value * jnp.sqrt(0.5 + 0.5 * image / _WHITE)
