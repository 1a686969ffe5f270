"""Other screens, laboratories and scanners: brightness, saturation, hue, stain, white balance and gamma.

All take float32 images [N, H, W, 3], 0..255, typed random keys [N] of which each draws its signs, and a strength,
float32 []; the scale of the images changes none.
"""

import jax
import jax.numpy as jnp

from nucseg_jax.ops.augment.intensity import in_range
from nucseg_jax.ops.augment.stain import adjusted_stain
from nucseg_jax.ops.corruptions.draws import drawn_signs
from nucseg_jax.ops.hsv import hsv_to_rgb, rgb_to_hsv

_WHITE = 255.0


def brightened(image: jax.Array, keys: jax.Array, value: jax.Array, microns_per_px: float) -> jax.Array:
    """Adds +-value of the range to V of HSV, cut at its ends; with a plus ImageNet-C's `brightness`."""
    del microns_per_px
    hue, saturation, level = rgb_to_hsv(image)
    return hsv_to_rgb(hue, saturation, in_range(level + _WHITE * _signed(keys, value)))


def saturated(image: jax.Array, keys: jax.Array, value: jax.Array, microns_per_px: float) -> jax.Array:
    """Adds +-value to S of HSV, cut at 0 and 1; pixels that are grey have no hue and stay grey."""
    del microns_per_px
    hue, saturation, level = rgb_to_hsv(image)
    changed = jnp.clip(saturation + _signed(keys, value), 0.0, 1.0)
    return hsv_to_rgb(hue, jnp.where(saturation > 0, changed, 0.0), level)


def turned(image: jax.Array, keys: jax.Array, value: jax.Array, microns_per_px: float) -> jax.Array:
    """Turns the hue of HSV by +-value of the colour circle."""
    del microns_per_px
    hue, saturation, level = rgb_to_hsv(image)
    return hsv_to_rgb(jnp.mod(hue + _signed(keys, value), 1.0), saturation, level)


def restained(image: jax.Array, keys: jax.Array, value: jax.Array, microns_per_px: float) -> jax.Array:
    """Multiplies the amounts of haematoxylin and of eosin by 1 +- value, each with its own sign, in optical density."""
    del microns_per_px
    factor = 1.0 + jnp.pad(value * drawn_signs(keys, 2), ((0, 0), (0, 1)))
    return adjusted_stain(image, factor=factor, offset=jnp.zeros_like(factor))


def rescanned(image: jax.Array, keys: jax.Array, value: jax.Array, microns_per_px: float) -> jax.Array:
    """Shifts the white balance between red and blue, then changes gamma.

    Red is multiplied by e^(+-value) and blue by its inverse, all divided by the largest of the three, so that nothing
    is overexposed; then intensities, as shares of white, are raised to the power e^(+-2 value).
    """
    del microns_per_px
    signs = value * drawn_signs(keys, 2)
    towards_red = signs[:, :1] * jnp.array([1.0, 0.0, -1.0])
    gains = jnp.exp(towards_red - jnp.max(towards_red, axis=1, keepdims=True))
    balanced = image * gains[:, None, None, :] / _WHITE
    return _WHITE * balanced ** jnp.exp(2.0 * signs[:, 1, None, None, None])


def _signed(keys: jax.Array, value: jax.Array) -> jax.Array:
    """Returns +-value for each image, float32 [N, 1, 1]."""
    return value * drawn_signs(keys, 1)[:, :, None]
