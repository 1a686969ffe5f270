"""Each kind's own laws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from nucseg_jax.ops import stain as light
from nucseg_jax.ops.augment.blur import gaussian_blur, random_blur
from nucseg_jax.ops.augment.colour import adjusted_colour, colour_jitter
from nucseg_jax.ops.augment.noise import gaussian_noise, random_noise
from nucseg_jax.ops.augment.scanner import rescanned, scanner_jitter
from nucseg_jax.ops.augment.stain import adjusted_stain, stain_jitter

N = 3


@pytest.fixture(scope="module")
def image():
    """Tissue: random amounts of dye."""
    amounts = np.random.default_rng(0).uniform(0.02, 0.5, (N, 12, 14, 3))
    return light.transmitted(light.stained(amounts)).astype(np.float32)


def values(*numbers):
    return jnp.asarray(numbers, jnp.float32)


def keys(seed=0):
    return jax.random.split(jax.random.key(seed), N)


def adjusted(image, **changes):
    unchanged = dict(brightness=jnp.ones(N), contrast=jnp.ones(N), saturation=jnp.ones(N), hue=jnp.zeros(N))
    return jax.jit(adjusted_colour)(image, **{**unchanged, **changes})


def luma(image):
    return np.asarray(image) @ np.array([0.299, 0.587, 0.114])


# Colour


def test_no_change_of_colour_and_a_whole_turn_of_hue_give_the_image_back(image):
    np.testing.assert_allclose(adjusted(image), image, atol=1e-3)
    np.testing.assert_allclose(adjusted(image, hue=values(1, -1, 2)), image, atol=1e-2)


def test_brightness_is_a_factor_and_is_cut_at_255(image):
    found = adjusted(image, brightness=values(0.5, 1.2, 0))
    np.testing.assert_allclose(found[0], 0.5 * image[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], np.minimum(1.2 * image[1], 255), rtol=1e-5)
    assert not np.asarray(found[2]).any()


def test_without_contrast_an_image_is_its_mean_luma_and_without_saturation_grey(image):
    flat = adjusted(image, contrast=jnp.zeros(N))
    np.testing.assert_allclose(
        flat, np.broadcast_to(luma(image).mean((1, 2))[:, None, None, None], image.shape), rtol=1e-4
    )
    grey = adjusted(image, saturation=jnp.zeros(N))
    np.testing.assert_allclose(grey, np.repeat(luma(image)[..., None], 3, -1), rtol=1e-4)


def test_hue_keeps_luma_and_leaves_grey_alone_and_two_halves_are_a_whole():
    rng = np.random.default_rng(1)
    # Weak colours, so that no turn leaves 0..255.
    image = (rng.uniform(100, 150, (N, 4, 4, 1)) + rng.uniform(-15, 15, (N, 4, 4, 3))).astype(np.float32)
    turned = adjusted(image, hue=values(0.1, -0.3, 0.5))
    np.testing.assert_allclose(luma(turned), luma(image), rtol=1e-4)
    twice = adjusted(turned, hue=values(0.2, 0.1, 0.5))
    np.testing.assert_allclose(twice, adjusted(image, hue=values(0.3, -0.2, 0)), atol=1e-2)
    grey = np.repeat(image[..., :1], 3, -1)
    np.testing.assert_allclose(adjusted(grey, hue=values(0.1, 0.2, 0.3)), grey, atol=1e-2)


def test_colour_jitter_commutes_with_flips(image):
    jitter = jax.jit(functools.partial(colour_jitter, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1))
    np.testing.assert_allclose(
        jitter(image[:, ::-1], keys()), np.asarray(jitter(image, keys()))[:, ::-1], rtol=1e-4
    )


def test_each_strength_draws_evenly_from_its_range():
    """Brightness of a flat image tells the factor: 1 -+ .4, mean 1, standard deviation .4 / sqrt(3)."""
    many = 2000
    flat = jnp.full((many, 1, 1, 3), 100.0)
    found = np.asarray(
        jax.jit(functools.partial(colour_jitter, brightness=0.4, contrast=0, saturation=0, hue=0))(
            flat, jax.random.split(jax.random.key(0), many)
        )
    )[:, 0, 0, 0]
    assert 60 <= found.min() < 62
    assert 138 < found.max() <= 140.01
    assert found.mean() == pytest.approx(100, abs=2)
    assert found.std() == pytest.approx(40 / np.sqrt(3), rel=0.05)


# Scanner


def test_a_scanner_multiplies_channels_and_gamma_keeps_black_and_white(image):
    log_gain = jnp.log(values(0.5, 1.0, 0.25))[None].repeat(N, 0)
    found = jax.jit(rescanned)(image, log_gain=log_gain, log_gamma=jnp.zeros(N))
    np.testing.assert_allclose(found, image * np.array([0.5, 1.0, 0.25], np.float32), rtol=1e-4)
    ends = jnp.stack([jnp.zeros((N, 4, 3)), jnp.full((N, 4, 3), 255.0)], axis=1)
    found = jax.jit(rescanned)(ends, log_gain=jnp.zeros((N, 3)), log_gamma=values(0.5, -0.5, 0.9))
    np.testing.assert_allclose(found, ends, atol=1e-2)


def test_a_scanner_and_its_inverse_give_the_image_back(image):
    there = jax.jit(rescanned)(image, log_gain=jnp.zeros((N, 3)), log_gamma=values(0.3, -0.2, 0.1))
    back = jax.jit(rescanned)(there, log_gain=jnp.zeros((N, 3)), log_gamma=values(-0.3, 0.2, -0.1))
    np.testing.assert_allclose(back, image, rtol=1e-3)


def test_white_balance_is_drawn_for_each_channel_and_gamma_for_all():
    flat = jnp.full((N, 1, 1, 3), 100.0)
    tinted = np.asarray(jax.jit(functools.partial(scanner_jitter, white_balance=0.5, gamma=0))(flat, keys()))
    assert (np.abs(np.log(tinted / 100)) <= 0.5 + 1e-4).all()
    assert (np.ptp(tinted[:, 0, 0], axis=1) > 1).all()
    darker = np.asarray(jax.jit(functools.partial(scanner_jitter, white_balance=0, gamma=0.5))(flat, keys()))
    np.testing.assert_allclose(np.ptp(darker[:, 0, 0], axis=1), 0, atol=1e-3)
    assert len(np.unique(darker[:, 0, 0, 0].round(3))) == N


# Stain


def test_an_unchanged_stain_gives_the_image_back_exactly_black_too(image):
    with_black = image.copy()
    with_black[0, 0] = 0
    found = jax.jit(adjusted_stain)(with_black, factor=jnp.ones((N, 3)), offset=jnp.zeros((N, 3)))
    np.testing.assert_array_equal(found, with_black)


def test_white_stays_white_whatever_the_stain():
    white = jnp.full((N, 5, 5, 3), 255.0)
    found = jax.jit(functools.partial(stain_jitter, factor=0.5, offset=0.5))(white, keys())
    # Under jit XLA divides by 255 as it multiplies by 1/255.
    np.testing.assert_allclose(found, white, atol=1e-3)


def test_amounts_of_dye_are_multiplied(image):
    factor = np.random.default_rng(2).uniform(0.8, 1.2, (N, 3)).astype(np.float32)
    found = jax.jit(adjusted_stain)(image, factor=factor, offset=jnp.zeros((N, 3)))
    np.testing.assert_allclose(
        light.stain_amounts(np.asarray(found, np.float64)),
        light.stain_amounts(image.astype(np.float64)) * factor[:, None, None],
        atol=1e-4,
    )


def test_an_offset_adds_dye_in_proportion_to_the_light_absorbed(image):
    offset = np.zeros((N, 3), np.float32)
    offset[:, light.EOSIN] = (0.1, -0.05, 0.2)
    found = jax.jit(adjusted_stain)(image, factor=jnp.ones((N, 3)), offset=offset)
    added = light.stain_amounts(np.asarray(found, np.float64)) - light.stain_amounts(image.astype(np.float64))
    absorbed = 1 - image.mean(-1) / 255
    inside = np.asarray(found).max(-1) < 255
    np.testing.assert_allclose(
        added[..., light.EOSIN][inside], (absorbed * offset[:, None, None, 1])[inside], atol=1e-4
    )
    np.testing.assert_allclose(added[..., light.HEMATOXYLIN][inside], 0, atol=1e-4)


# Blur


@pytest.mark.parametrize("sigma", [0.4, 1.0, 1.7])
def test_blur_is_scipys(image, sigma):
    found = jax.jit(functools.partial(gaussian_blur, radius_px=6))(image, jnp.full(N, sigma))
    expected = scipy.ndimage.gaussian_filter(
        image.astype(np.float64), (0, sigma, sigma, 0), mode="mirror", radius=(0, 6, 6, 0)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_blur_keeps_constants_and_is_symmetric_and_no_blur_is_the_image(image):
    blur = jax.jit(functools.partial(random_blur, sigma_px=2.0))
    constant = jnp.full((N, 10, 11, 3), 77.0)
    np.testing.assert_allclose(blur(constant, keys()), constant, rtol=1e-5)
    found = np.asarray(blur(image, keys()))
    np.testing.assert_allclose(blur(image[:, ::-1], keys()), found[:, ::-1], rtol=1e-4)
    np.testing.assert_allclose(blur(image.swapaxes(1, 2), keys()), found.swapaxes(1, 2), rtol=1e-4)
    np.testing.assert_array_equal(gaussian_blur(image, jnp.zeros(N), radius_px=3), image)


# Noise


def test_noise_has_the_standard_deviation_asked_for_in_every_image():
    grey = jnp.full((N, 100, 100, 3), 128.0)
    found = np.asarray(jax.jit(gaussian_noise)(grey, keys(), values(0, 5, 20)) - grey)
    np.testing.assert_allclose(found.std((1, 2, 3)), [0, 5, 20], rtol=0.02)
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=0.5)
    # Independent from pixel to pixel and from channel to channel.
    for one, other in ((found[2, 1:], found[2, :-1]), (found[2, ..., 0], found[2, ..., 1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.03


def test_random_noise_draws_its_strength_up_to_the_one_given():
    many = 300
    grey = jnp.full((many, 16, 16, 3), 128.0)
    found = jax.jit(functools.partial(random_noise, sd=10.0))(grey, jax.random.split(jax.random.key(1), many))
    sds = np.asarray(found - grey).std((1, 2, 3))
    assert sds.max() < 11
    assert sds.mean() == pytest.approx(5, rel=0.1)
    assert sds.std() == pytest.approx(10 / np.sqrt(12), rel=0.15)
