"""Against scikit-image."""

import jax
import numpy as np
from skimage.color import hsv2rgb, rgb2hsv

from nucseg_jax.ops.hsv import hsv_to_rgb, rgb_to_hsv


def colours():
    """All of a coarse cube: greys, black, and equal channels in every order among them."""
    return np.stack(np.meshgrid(*[np.linspace(0, 255, 9)] * 3), axis=-1).reshape(-1, 3).astype(np.float32)


def test_hue_saturation_and_value_are_those_of_scikit_image():
    hue, saturation, value = jax.jit(rgb_to_hsv)(colours())
    slow = rgb2hsv(colours().astype(np.float64) / 255)
    turns = np.abs(np.asarray(hue) - slow[:, 0])
    assert np.minimum(turns, 1 - turns).max() < 1e-5
    np.testing.assert_allclose(saturation, slow[:, 1], atol=1e-5)
    np.testing.assert_allclose(value, 255 * slow[:, 2], atol=1e-3)


def test_they_give_the_colour_back_and_any_others_give_that_of_scikit_image():
    np.testing.assert_allclose(
        jax.jit(lambda rgb: hsv_to_rgb(*rgb_to_hsv(rgb)))(colours()), colours(), atol=1e-3
    )
    hsv = colours() / 255
    np.testing.assert_allclose(jax.jit(hsv_to_rgb)(*hsv.T), hsv2rgb(hsv.astype(np.float64)), atol=1e-5)
