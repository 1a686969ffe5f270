"""Hue, saturation and value (Smith 1978), the colour space in which screens and corruptions are adjusted.

Axes: [..., 3]. Red, green, blue and the value are 0..R, with any R; hue is 0..1, one turn from red through green and
blue; saturation is 0..1. Equal to scikit-image's `rgb2hsv` and `hsv2rgb`, and runs on devices.
"""

import jax
import jax.numpy as jnp


def rgb_to_hsv(rgb: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Splits colours into hue, saturation and value.

    Args:
      rgb: float32 [..., 3], >= 0.

    Returns:
      Three arrays, float32 [...]; of greys hue and saturation are 0.
    """
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    value = jnp.maximum(jnp.maximum(red, green), blue)
    span = value - jnp.minimum(jnp.minimum(red, green), blue)
    is_grey = span == 0
    safe = jnp.where(is_grey, 1.0, span)
    sixths = jnp.where(
        value == blue,
        4.0 + (red - green) / safe,
        jnp.where(value == green, 2.0 + (blue - red) / safe, (green - blue) / safe),
    )
    hue = jnp.where(is_grey, 0.0, jnp.mod(sixths / 6.0, 1.0))
    return hue, jnp.where(is_grey, 0.0, span / jnp.where(is_grey, 1.0, value)), value


def hsv_to_rgb(hue: jax.Array, saturation: jax.Array, value: jax.Array) -> jax.Array:
    """Joins hue, saturation and value, the inverse of `rgb_to_hsv`: float32 [..., 3]."""

    def channel(first_sixth: float) -> jax.Array:
        sixth = jnp.mod(first_sixth + 6.0 * hue, 6.0)
        return value - value * saturation * jnp.clip(jnp.minimum(sixth, 4.0 - sixth), 0.0, 1.0)

    return jnp.stack([channel(5.0), channel(3.0), channel(1.0)], axis=-1)
