"""Scale and elastic deformation: labels and ids of nuclei move exactly as the image does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from nucseg_jax.config.augment import AugmentConfig
from nucseg_jax.ops.augment.augmentation import augment
from nucseg_jax.ops.augment.deformation import deformed, random_places

PX = 48
VOID = 255


@functools.cache
def places_of(scale, elastic_px, count=32):
    draw = functools.partial(random_places, size=(PX, PX), scale=scale, elastic_px=elastic_px)
    keys = jax.random.split(jax.random.key(0), count)
    return tuple(np.asarray(axis) for axis in jax.jit(jax.vmap(draw))(keys))


@pytest.fixture(scope="module")
def painted():
    """Images whose colour is a pixel's own row and column, ids of squares, and their classes."""
    rows, columns = np.mgrid[:PX, :PX]
    image = np.stack([rows, columns, rows + columns], axis=-1).astype(np.float32)
    ids = (rows // 5 * 10 + columns // 7 + 1).astype(np.int32)
    return np.broadcast_to(image, (32, PX, PX, 3)), np.broadcast_to(ids, (32, PX, PX))


@pytest.mark.parametrize(("scale", "elastic_px"), [(0.5, 0.0), (0.0, 6.0), (0.3, 4.0)])
def test_labels_are_those_of_the_place_that_the_image_shows(painted, scale, elastic_px):
    image, ids = painted
    places = places_of(scale, elastic_px)
    label = (ids % 6).astype(np.uint8)
    moved, (label_moved, ids_moved) = jax.jit(functools.partial(deformed, outside=(VOID, 0)))(
        image, (label, ids), places
    )
    # Linear between pixels, a colour tells the place to a fraction of a pixel.
    shown = np.asarray(moved)[..., :2]
    inside = np.all((np.stack(places, -1) >= 0) & (np.stack(places, -1) <= PX - 1), axis=-1)
    np.testing.assert_allclose(shown[inside], np.stack(places, -1)[inside], atol=1e-3)
    nearest = np.rint(shown).astype(int)
    is_clear = inside & (np.abs(shown - nearest).max(-1) < 0.499)
    assert is_clear.mean() > 0.7
    row, column = nearest[is_clear].T
    np.testing.assert_array_equal(np.asarray(ids_moved)[is_clear], ids[0][row, column])
    np.testing.assert_array_equal(np.asarray(label_moved)[is_clear], label[0][row, column])
    assert label_moved.dtype == np.uint8


def test_it_is_the_interpolation_of_scipy_with_nothing_beyond_the_edge(painted):
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (32, PX, PX, 3)).astype(np.float32)
    _, ids = painted
    places = places_of(0.5, 6.0)
    moved, ids_moved = jax.jit(functools.partial(deformed, outside=-1))(image, ids, places)
    for one in range(3):
        at = np.stack([axis[one] for axis in places])
        for channel in range(3):
            expected = ndimage.map_coordinates(image[one, ..., channel], at, order=1, mode="mirror")
            np.testing.assert_allclose(moved[one, ..., channel], expected, atol=2e-2)
        expected = ndimage.map_coordinates(ids[one], at, order=0, mode="constant", cval=-1)
        outside = np.any((at < 0) | (at > PX - 1), axis=0)
        # Half a pixel beyond the last one is nearest to it, to some.
        near = np.any((at < 0) & (at > -0.5) | (at > PX - 1) & (at < PX - 0.5), axis=0)
        ties = np.abs(at - np.floor(at) - 0.5).min(axis=0) < 1e-3
        np.testing.assert_array_equal(np.asarray(ids_moved[one])[~near & ~ties], expected[~near & ~ties])
        assert (np.asarray(ids_moved[one])[outside & ~near] == -1).all()


def test_magnification_lies_within_its_bounds_about_the_centre():
    rows, columns = places_of(0.5, 0.0, 256)
    factors = (PX - 1) / (rows[:, -1, 0] - rows[:, 0, 0])
    assert 1 / 1.5 <= factors.min() < 0.7
    assert 1.45 < factors.max() <= 1.5 + 1e-5
    assert np.median(factors) == pytest.approx(1, abs=0.08)
    np.testing.assert_allclose(rows.mean((1, 2)), (PX - 1) / 2, atol=1e-3)
    np.testing.assert_allclose(np.swapaxes(rows, 1, 2), columns, atol=1e-4)


def test_a_bend_moves_pixels_by_no_more_than_it_may_and_folds_nothing():
    rows, columns = places_of(0.0, 6.0)
    at = np.mgrid[:PX, :PX]
    moves = np.stack([rows - at[0], columns - at[1]])
    assert 5.5 < np.abs(moves).max() <= 6 + 1e-5
    assert np.diff(rows, axis=1).min() > 0
    assert np.diff(columns, axis=2).min() > 0


def test_what_a_smaller_image_leaves_of_a_tile_is_void():
    image = np.full((16, PX, PX, 3), 100, np.uint8)
    label, ids = np.ones((16, PX, PX), np.uint8), np.ones((16, PX, PX), np.int32)
    changed = jax.jit(
        functools.partial(
            augment, how=AugmentConfig(flips=False, quarter_turns=False, scale=0.5), seed=0, outside=(VOID, 0)
        )
    )
    shown, (label, ids) = jax.device_get(changed(image, (label, ids), np.arange(16), epoch=jnp.int32(0)))
    np.testing.assert_allclose(shown, 100, atol=1e-3)
    void = label == VOID
    np.testing.assert_array_equal(ids == 0, void)
    assert 0 < void.any(axis=(1, 2)).sum() < 16
    assert not void[:, PX // 4 : -PX // 4, PX // 4 : -PX // 4].any()


def test_a_deformation_asks_for_what_lies_beyond_the_edge():
    with pytest.raises(ValueError, match="outside"):
        augment(
            jnp.zeros((1, 8, 8, 3), jnp.uint8),
            jnp.zeros((1, 8, 8), jnp.uint8),
            jnp.arange(1),
            how=AugmentConfig(scale=0.1),
            seed=0,
            epoch=jnp.int32(0),
        )
