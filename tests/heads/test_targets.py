"""Targets and losses of instance heads: slow references, symmetries, gradients, and pixels nobody annotated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from nucseg_jax.heads.hover import hover_gradient
from nucseg_jax.heads.instances import squared_distance_to_others
from nucseg_jax.heads.table import HEADS
from tests.heads.decoding.perfect_maps import PERFECT

WITH_MAPS = [name for name, head in HEADS.items() if head.maps]


def painted_ids(seed: int, px: int = 48) -> np.ndarray:
    """uint16 [px, px]: nuclei that touch, lie at the edge, are one pixel or row, or in two pieces; ids with gaps."""
    rng = np.random.default_rng(seed)
    ids = np.zeros((px, px), np.uint16)
    y, x = np.mgrid[:px, :px]
    for number in rng.permutation(np.arange(1, 400, 31)):
        cy, cx = rng.uniform(0, px, 2)
        a, b = rng.uniform(2, 8, 2)
        ids[((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 < 1] = number
    ids[3, 5], ids[7, 10:20], ids[40, 40], ids[44, 44] = 900, 901, 65535, 65535
    return ids


@pytest.mark.device
@pytest.mark.parametrize("name", WITH_MAPS)
def test_targets_are_those_of_a_slow_reference(name):
    ids = np.stack([painted_ids(seed) for seed in range(3)] + [np.zeros((48, 48), np.uint16)])
    found = np.asarray(jax.jit(HEADS[name].target_maps)(ids))
    np.testing.assert_array_equal(found[..., -1], ids > 0)
    for image, maps in zip(ids, found, strict=True):
        np.testing.assert_allclose(maps[..., :-1], PERFECT[name](image), atol=1e-5)


@pytest.mark.parametrize("name", WITH_MAPS)
def test_a_nucleus_that_fills_the_image_has_finite_targets(name):
    found = np.asarray(HEADS[name].target_maps(np.full((1, 8, 8), 7, np.uint16)))
    assert np.isfinite(found).all()
    assert np.abs(found[..., :-1]).max() == 1


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_targets_of_a_moved_image_are_the_moved_targets(turns, flip):
    """A flip changes the sign of a HoVer map, a quarter turn swaps both."""

    def move(pixels):
        turned = np.rot90(pixels, turns)
        return turned[:, ::-1] if flip else turned

    ids = painted_ids(0)
    for name in WITH_MAPS:
        before, after = (
            np.asarray(HEADS[name].target_maps(each[None].copy()))[0] for each in (ids, move(ids))
        )
        moved = move(before)
        if name == "distance":
            np.testing.assert_allclose(after, moved, atol=1e-6)
            continue
        # Where x and y of the moved image point in the old one.
        place = np.stack(np.meshgrid(np.arange(48), np.arange(48)), axis=-1).astype(float)
        went = move(place)
        along_x, along_y = went[0, 1] - went[0, 0], went[1, 0] - went[0, 0]
        for channel, direction in enumerate((along_x, along_y)):
            np.testing.assert_allclose(after[..., channel], moved[..., :2] @ direction, atol=1e-5)


def test_the_distance_is_exact_and_the_edge_no_border():
    ids = np.stack([painted_ids(seed) for seed in range(4)])
    found = np.asarray(jax.jit(squared_distance_to_others)(ids.astype(np.int32)))
    for image, squared in zip(ids, found, strict=True):
        for number in np.unique(image):
            inside = image == number
            expected = ndimage.distance_transform_edt(inside)[inside] ** 2
            if number:
                np.testing.assert_allclose(squared[inside], expected, rtol=1e-5)


@pytest.mark.parametrize("name", WITH_MAPS)
def test_perfect_maps_cost_nothing_and_others_something_for_each_image(name):
    ids = np.stack([painted_ids(0), painted_ids(1), np.zeros((48, 48), np.uint16)])
    targets = HEADS[name].target_maps(ids)
    noise = np.random.default_rng(0).normal(size=targets[..., :-1].shape).astype(np.float32)
    for loss in HEADS[name].losses.values():
        assert np.asarray(loss(targets[..., :-1], targets, None)).tolist() == [0, 0, 0]
        worse = np.asarray(loss(targets[..., :-1] + noise, targets, None))
        assert worse.shape == (3,)
        assert (worse[:2] > 0.1).all()


@pytest.mark.parametrize("name", WITH_MAPS)
def test_pixels_nobody_annotated_change_no_loss(name):
    rng = np.random.default_rng(0)
    ids, valid_px = painted_ids(0)[None], np.ones((1, 48, 48), bool)
    valid_px[:, 20:] = False
    targets = HEADS[name].target_maps(np.where(valid_px, ids, 0).astype(np.uint16))
    maps = rng.normal(size=targets[..., :-1].shape).astype(np.float32)
    other = np.where(valid_px[..., None], maps, 9.0).astype(np.float32)
    for loss in HEADS[name].losses.values():
        values = [float(loss(each, targets, valid_px)[0]) for each in (maps, other)]
        assert values[0] == values[1] > 0
        assert float(loss(maps, targets, valid_px & False)[0]) == 0


def test_the_gradient_loss_is_that_of_a_loop_over_pixels():
    """Eq. 3 of HoVer-Net with the kernels h / (h^2 + v^2)."""
    rng = np.random.default_rng(0)
    ids = painted_ids(2)[None, :20, :20]
    targets = np.asarray(HEADS["hover"].target_maps(ids))
    maps = rng.normal(size=(1, 20, 20, 2)).astype(np.float32)
    difference = np.pad((maps - targets[..., :2])[0].astype(float), ((2, 2), (2, 2), (0, 0)))
    total, inside = 0.0, np.argwhere(ids[0] > 0)
    for y, x in inside:
        for channel in range(2):
            slope = 0.0
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    if dy or dx:
                        weight = (dx, dy)[channel] / (dx * dx + dy * dy)
                        slope += weight * difference[y + 2 + dy, x + 2 + dx, channel]
            total += slope**2
    assert float(hover_gradient(maps, targets)[0]) == pytest.approx(total / (2 * len(inside)), rel=1e-4)


@pytest.mark.parametrize("name", WITH_MAPS)
def test_gradients_of_losses_are_finite_differences(name):
    ids = painted_ids(3)[None, :16, :16]
    with jax.enable_x64(True):
        targets = jnp.asarray(HEADS[name].target_maps(ids), jnp.float64)
        rng = np.random.default_rng(0)
        maps = jnp.asarray(rng.normal(size=targets[..., :-1].shape))
        direction = jnp.asarray(rng.normal(size=maps.shape))
        for loss in HEADS[name].losses.values():

            def along(step, loss=loss):
                return loss(maps + step * direction, targets, None).sum()

            found = float(jax.grad(along)(0.0))
            expected = float(along(1e-4) - along(-1e-4)) / 2e-4
            assert found == pytest.approx(expected, rel=1e-6)
