"""Stain maths: inverses of each other, Beer-Lambert's limits, and agreement with scikit-image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.color import rgb2hed

from nucseg_jax.ops import stain


def test_density_and_transmitted_light_are_inverses():
    rgb = np.arange(1, 256, dtype=np.float64).repeat(3).reshape(-1, 3)
    assert np.allclose(stain.transmitted(stain.optical_density(rgb)), rgb, rtol=1e-12)


def test_white_is_clear_and_black_is_finite():
    assert stain.optical_density(np.array([255], np.uint8)) == pytest.approx(0.0)
    assert stain.optical_density(np.array([0], np.uint8)) == pytest.approx(np.log10(255))


def test_amounts_of_dye_are_recovered_from_the_colour_they_give():
    amounts = np.random.default_rng(0).uniform(0.0, 0.6, (50, 3))
    rgb = stain.transmitted(stain.stained(amounts))
    assert np.allclose(stain.stain_amounts(rgb), amounts, atol=1e-9)


def test_twice_the_dye_lets_the_square_through():
    once = stain.transmitted(stain.stained(np.array([0.3, 0.2, 0.0])), white=1.0)
    twice = stain.transmitted(stain.stained(np.array([0.6, 0.4, 0.0])), white=1.0)
    assert np.allclose(once**2, twice)


def test_proportional_to_scikit_image_inside_the_cone_of_the_dyes():
    amounts = np.random.default_rng(1).uniform(0.05, 0.4, (4, 5, 3))
    rgb = stain.transmitted(stain.stained(amounts))
    ratio = stain.stain_amounts(rgb) / rgb2hed(rgb / 255.0)
    assert np.allclose(ratio, ratio[0, 0, 0], rtol=1e-6)


def test_amounts_outside_the_cone_stay_negative():
    pure_green_absorber = stain.transmitted(np.array([0.0, 0.5, 0.0]))
    assert stain.stain_amounts(pure_green_absorber)[stain.HEMATOXYLIN] < 0


def test_the_same_on_numpy_and_on_jax_under_jit():
    rgb = np.random.default_rng(2).integers(0, 256, (3, 4, 3), np.uint8)
    on_jax = jax.jit(stain.stain_amounts)(jnp.asarray(rgb))
    assert isinstance(on_jax, jax.Array)
    assert np.allclose(on_jax, stain.stain_amounts(rgb), atol=1e-5)
