"""Each kind against a slow definition of its own; those that ImageNet-C has too against its formula.

ImageNet-C (Hendrycks & Dietterich 2019; the package `imagecorruptions` has its code): `jpeg_compression` has the
qualities 25, 15 and 7 too, `brightness` adds to V of HSV, `pixelate` averages over boxes.
"""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image
from skimage.color import hsv2rgb, rgb2hsv

from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.ops.corruptions import blur, colour, noise, resolution
from nucseg_jax.ops.corruptions.draws import typed_keys
from nucseg_jax.ops.corruptions.kinds import KINDS, corrupted
from nucseg_jax.ops.stain import stain_amounts

N, SCALE = 8, 0.25


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Painted tissue, uint8 [8, 60, 48, 3]."""
    return np.stack([paint_patch(0, 1, index).image[90:150, 100:148] for index in range(N)])


def changed(function, images, value, seed=0):
    """float32 [N, H, W, 3], before it is rounded."""
    keys = typed_keys(np.random.default_rng(seed).integers(0, 2**32, (len(images), 2), np.uint32))
    run = jax.jit(lambda image, value: function(image, keys, value, SCALE))
    return np.asarray(run(images.astype(np.float32), jnp.float32(value)))


def test_jpeg_is_that_of_imagenet_c(images):
    for severity, quality in ((3, 25), (4, 15), (5, 7)):
        assert KINDS["jpeg"].values[severity - 1] == quality
        found = corrupted(images[:2], "jpeg", severity, microns_per_px=SCALE)
        for one, image in zip(found, images, strict=False):
            output = io.BytesIO()
            Image.fromarray(image).save(output, "JPEG", quality=quality)
            assert (one == np.asarray(Image.open(output))).all()


def in_hsv(image, change):
    hsv = change(rgb2hsv(image.astype(np.float64) / 255))
    return 255 * hsv2rgb(np.clip(hsv, 0, 1))


def both_signs_of(found, images, slow, atol=0.01):
    """Each image is the slow one of one of the two signs; both are drawn."""
    signs = []
    for one, image in zip(found, images, strict=True):
        far = [np.abs(one - slow(image, sign)).max() for sign in (-1, 1)]
        assert min(far) < atol, far
        signs.append(int(np.argmin(far)))
    assert set(signs) == {0, 1}


def test_brightness_adds_to_v_as_imagenet_c_does(images):
    value = 0.2
    found = changed(colour.brightened, images, value)
    both_signs_of(
        found, images, lambda image, sign: in_hsv(image, lambda hsv: np.add(hsv, [0, 0, sign * value]))
    )


def test_saturation_adds_to_s_and_greys_stay_grey(images):
    value = 0.15
    grey = images.copy()
    grey[:, :8] = grey[:, :8, :, :1]

    def slow(image, sign):
        return in_hsv(image, lambda hsv: np.where(hsv[..., 1:2] > 0, np.add(hsv, [0, sign * value, 0]), hsv))

    found = changed(colour.saturated, grey, value)
    both_signs_of(found, grey, slow)
    assert np.ptp(found[:, :8], axis=-1).max() == 0


def test_hue_turns_the_hue(images):
    value = 0.08

    def slow(image, sign):
        return in_hsv(
            image, lambda hsv: np.concatenate([(hsv[..., :1] + sign * value) % 1, hsv[..., 1:]], -1)
        )

    both_signs_of(changed(colour.turned, images, value), images, slow, atol=0.05)


def test_stain_multiplies_the_dyes_and_leaves_the_rest(images):
    value = 0.3
    # Neither so dark nor so bright that anything is cut.
    middle = np.clip(images, 60, 200)
    before = stain_amounts(middle.astype(np.float64))
    after = stain_amounts(changed(colour.restained, middle, value).astype(np.float64))
    drawn = []
    for was, now in zip(before, after, strict=True):
        signs = [round((now[..., dye] / was[..., dye]).mean() - 1, 1) for dye in (0, 1)]
        assert {abs(sign) for sign in signs} == {value}
        np.testing.assert_allclose(now, was * [1 + signs[0], 1 + signs[1], 1], atol=2e-3)
        drawn.append(tuple(signs))
    assert len(set(drawn)) > 2


def test_a_scanner_has_another_white_and_another_gamma(images):
    value = 0.08
    found, far = changed(colour.rescanned, images, value), []
    for one, image in zip(found, images, strict=True):
        slow = []
        for balance, gamma in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            gains = np.exp([balance * value, 0, -balance * value])
            slow.append(255 * (image / 255 * gains / gains.max()) ** np.exp(2 * gamma * value))
        far.append([np.abs(one - each).max() for each in slow])
    assert np.min(far, axis=1).max() < 0.01
    assert len(set(np.argmin(far, axis=1))) > 2


def test_noise_has_its_standard_deviation_at_white_and_less_in_the_dark():
    image = np.zeros((1, 300, 300, 3), np.float32)
    image[:, :150] = 255
    added = (changed(noise.noisy, image, 12) - image)[0]
    assert added[:150].std() == pytest.approx(12, rel=0.02)
    assert added[150:].std() == pytest.approx(12 / 2**0.5, rel=0.02)
    assert abs(added.mean()) < 0.1
    neighbours = np.corrcoef(added[:-1].ravel(), added[1:].ravel())[0, 1]
    assert abs(neighbours) < 0.02


@pytest.mark.parametrize("radius_um", blur.DEFOCUS_RADII_UM)
def test_defocus_is_a_convolution_with_a_disk(radius_um, images):
    reach, radius = 9, radius_um / SCALE
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1)
    slow = scipy.ndimage.convolve(
        images.astype(np.float64), (disk / disk.sum())[None, :, :, None], mode="mirror"
    )
    np.testing.assert_allclose(changed(blur.defocused, images, radius_um), slow, atol=0.01)


def test_a_disk_without_a_radius_is_the_middle_alone():
    expected = np.zeros((7, 7))
    expected[3, 3] = 1
    np.testing.assert_array_equal(blur.disk_kernel(jnp.float32(0), 3), expected)


def test_motion_is_a_convolution_with_a_line_through_the_middle(images):
    length, angle = 8.0, np.linspace(0, np.pi, N, endpoint=False)
    kernel = np.asarray(blur.line_kernels(jnp.float32(length), jnp.asarray(angle, jnp.float32), 9))
    np.testing.assert_allclose(kernel.sum(axis=(1, 2)), 1, rtol=1e-5)
    np.testing.assert_allclose(kernel, kernel[:, ::-1, ::-1], atol=1e-6)
    rows, columns = np.mgrid[-9:10, -9:10]
    for one, turn in zip(kernel, angle, strict=True):
        across = rows * np.cos(turn) - columns * np.sin(turn)
        along = rows * np.sin(turn) + columns * np.cos(turn)
        # A uniform line of length L has the variance L^2 / 12; sharing points between pixels adds up to 1/4.
        assert (one * along**2).sum() == pytest.approx(length**2 / 12, abs=0.3)
        assert (one * across**2).sum() < 0.3
    found = blur.convolved(jnp.asarray(images, jnp.float32), jnp.asarray(kernel))
    for one, image, weights in zip(np.asarray(found), images, kernel, strict=True):
        slow = scipy.ndimage.convolve(image.astype(np.float64), weights[:, :, None], mode="mirror")
        np.testing.assert_allclose(one, slow, atol=0.01)


def test_motion_draws_directions_and_keeps_flat_images(images):
    found = changed(blur.moved, np.repeat(images[:1], N, axis=0), 4.0)
    assert len({one.tobytes() for one in found}) == N
    flat = np.full_like(images, 77)
    np.testing.assert_allclose(changed(blur.moved, flat, 4.0), 77, atol=1e-3)


def slow_along(line, factor):
    """One row of pixels, averaged over intervals through the integral, and interpolated back."""
    length = len(line)
    count = round(length / factor)
    edges = np.arange(count + 1) * length / count
    integral = np.interp(edges, np.arange(length + 1), np.concatenate([[0], np.cumsum(line)]))
    means = np.diff(integral) * count / length
    return np.interp((np.arange(length) + 0.5) * count / length - 0.5, np.arange(count), means)


@pytest.mark.parametrize("factor", resolution.FACTORS)
def test_resolution_averages_over_larger_pixels_and_interpolates_back(factor, images):
    some = images[:2].astype(np.float64)
    slow = np.apply_along_axis(slow_along, 2, np.apply_along_axis(slow_along, 1, some, factor), factor)
    np.testing.assert_allclose(changed(resolution.coarsened, images[:2], factor), slow, atol=0.01)


@pytest.mark.parametrize("factor", [2, 4])
def test_the_larger_pixels_are_those_of_imagenet_c_and_the_way_back_is_that_of_predict(factor, images):
    """Pillow's box filter is `pixelate`'s; its triangle filter brings a slide to the model's grid in `predict`."""
    image = Image.fromarray(images[0])
    width, height = image.size
    small = image.resize((width // factor, height // factor), Image.Resampling.BOX)
    slow = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)).astype(float)
    # Pillow rounds four times on the way.
    assert np.abs(changed(resolution.coarsened, images[:1], factor)[0] - slow).max() <= 2


def test_lengths_are_those_of_tissue_not_of_pixels(images):
    """Half the microns a pixel: the same blur is twice as wide in pixels."""
    point = np.zeros((1, 49, 49, 3), np.float32)
    point[:, 24, 24] = 255
    keys = typed_keys(np.zeros((1, 2), np.uint32))
    widths = []
    for scale in (0.25, 0.125):
        spread = np.asarray(blur.defocused(point, keys, jnp.float32(1.0), scale))[0, :, :, 0]
        rows = np.arange(49) - 24
        widths.append(np.sqrt((spread.sum(axis=1) * rows**2).sum() / spread.sum()))
    assert widths[1] / widths[0] == pytest.approx(2, rel=0.05)
