"""Brightness, contrast, saturation and hue, as camera and screen differ."""

import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.ops.augment.intensity import in_range, mixed

# RGB to YIQ (NTSC 1953): luma, and two axes of chroma.
_YIQ: np.ndarray = np.array(
    [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]]
)
_LUMA: np.ndarray = _YIQ[:1].T
# Takes chroma, in RGB, to the chroma a quarter of the colour circle further.
_QUARTER: np.ndarray = np.linalg.inv(_YIQ) @ np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0]]) @ _YIQ


def colour_jitter(
    image: jax.Array, keys: jax.Array, *, brightness: float, contrast: float, saturation: float, hue: float
) -> jax.Array:
    """Applies `adjusted_colour` with each example's own factors, drawn uniformly from 1 -+ strength (hue: -+ strength).

    The ranges of torchvision's ColorJitter. Each of the four draws is made whether its strength is 0 or not.

    Args:
      image: float32 [N, H, W, 3], 0..255.
      keys: typed random keys [N].
      brightness, contrast, saturation: 0..1, 0 = off.
      hue: 0..0.5 of the colour circle, 0 = off.
    """
    draws = jax.vmap(lambda key: jax.random.uniform(key, (4,), minval=-1.0, maxval=1.0))(keys)
    return adjusted_colour(
        image,
        brightness=1.0 + brightness * draws[:, 0],
        contrast=1.0 + contrast * draws[:, 1],
        saturation=1.0 + saturation * draws[:, 2],
        hue=hue * draws[:, 3],
    )


def adjusted_colour(
    image: jax.Array, *, brightness: jax.Array, contrast: jax.Array, saturation: jax.Array, hue: jax.Array
) -> jax.Array:
    """Changes brightness, then contrast about the image's mean luma, then saturation and hue about each pixel's luma.

    Hue turns chroma in the plane of I and Q, as NVIDIA DALI's `color_twist` does, and not in HSV: it is linear,
    and leaves luma as it is.

    Args:
      image: float32 [N, H, W, 3], 0..255.
      brightness, contrast, saturation: factors, float32 [N], 1 = as it is.
      hue: turns of the colour circle, float32 [N], 0 = as it is.

    Returns:
      float32 [N, H, W, 3], 0..255.
    """
    luma, quarter_turn = (jnp.asarray(matrix, image.dtype)[None] for matrix in (_LUMA, _QUARTER.T))

    def each(factor: jax.Array) -> jax.Array:
        return factor[:, None, None, None]

    image = image * each(brightness)
    # The luma of the mean is the mean of the luma, and quicker.
    mean = mixed(jnp.mean(image, axis=(1, 2), keepdims=True), luma)
    image = mean + (image - mean) * each(contrast)
    grey = mixed(image, luma)
    chroma = (image - grey) * each(saturation)
    quarter = mixed(chroma, quarter_turn)
    angle = 2.0 * jnp.pi * hue
    return in_range(grey + chroma * each(jnp.cos(angle)) + quarter * each(jnp.sin(angle)))
