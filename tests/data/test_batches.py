import hashlib

import numpy as np
import pytest

from nucseg_jax.data import order
from nucseg_jax.data.batches import evaluation_batches, training_batches
from nucseg_jax.data.order import epoch_order, random_corners, steps_per_epoch, tile_place, tiles_per_patch
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.training.device_feed import DevicePatches, cut_tiles

FEED = dict(patch_px=256, tile_px=64, batch_size=8, seed=5)


def told(px: int, patches: int = 7) -> Patches:
    """Every pixel of a patch holds its row and column, so that a tile tells where it was cut."""
    rows, columns = np.mgrid[:px, :px]
    high = (rows // 256 * 16 + columns // 256).astype(np.uint8)
    places = [rows.astype(np.uint8), columns.astype(np.uint8)]
    image = np.stack([np.stack([*places, high + 32 * patch], -1) for patch in range(patches)])
    return Patches(
        image=image,
        label=image[..., 0] % 6,
        group=np.arange(patches, dtype=np.int32),
        fold=np.ones(patches, np.int32),
        index=np.arange(patches, dtype=np.int32),
    )


@pytest.fixture(scope="module")
def patches() -> Patches:
    return told(256)


@pytest.mark.parametrize(("patch_px", "tile_px"), [(256, 64), (128, 64), (96, 32), (224, 224), (512, 256)])
def test_an_epoch_is_every_tile_once_but_for_the_tail_whatever_the_size_of_a_patch(patch_px, tile_px):
    """Of both the host's cutting and the device's."""
    patches = told(patch_px, 3)
    rows, side = np.array([2, 0, 1]), patch_px // tile_px
    order = dict(patch_px=patch_px, tile_px=tile_px, batch_size=2)
    assert tiles_per_patch(patch_px, tile_px) == side**2
    batches = list(training_batches(patches, rows, **order, seed=5, epoch=0))
    assert len(batches) == steps_per_epoch(3, **order) == 3 * side**2 // 2
    seen = np.concatenate([batch.index for batch in batches])
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(3 * side**2))
    taken = patches.take(rows)
    source = DevicePatches(image=taken.image, label=taken.label, group=taken.group)
    for batch in batches:
        assert batch.valid.all()
        on_device = cut_tiles(source, batch.index, tile_px=tile_px)
        np.testing.assert_array_equal(on_device.image, batch.image)
        np.testing.assert_array_equal(on_device.label, batch.label)
        for image, label, index in zip(batch.image, batch.label, batch.index, strict=True):
            patch, tile = divmod(index, side**2)
            top, left = tile_px * (tile // side), tile_px * (tile % side)
            expected = patches.image[rows[patch], top : top + tile_px, left : left + tile_px]
            np.testing.assert_array_equal(image, expected)
            np.testing.assert_array_equal(label, expected[..., 0] % 6)


@pytest.mark.parametrize(("patch_px", "tile_px"), [(250, 64), (128, 256), (256, 0)])
def test_tiles_that_leave_a_rest_of_a_patch_are_never_cut(patch_px, tile_px):
    for cut in (
        lambda: tile_place(np.int32(3), patch_px=patch_px, tile_px=tile_px),
        lambda: epoch_order(4, patch_px=patch_px, tile_px=tile_px, batch_size=2, seed=0, epoch=0),
    ):
        with pytest.raises(ValueError, match=f"{patch_px} px cannot be cut"):
            cut()


@pytest.mark.parametrize("probability", [None, np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])])
def test_order_depends_on_seed_and_epoch_alone_and_can_be_taken_up_anywhere(patches, probability):
    def order(**changes):
        options = {**FEED, "epoch": 2, "probability": probability, **changes}
        feed = training_batches(patches, np.arange(7), **options)
        return [batch.index.tolist() for batch in feed]

    assert order() == order()
    assert order(first_step=5) == order()[5:]
    assert order(seed=6) != order()
    assert order(epoch=3) != order()


def test_the_uniform_order_is_that_of_earlier_versions():
    order = epoch_order(7, patch_px=256, tile_px=64, batch_size=8, seed=5, epoch=2)
    assert order[0].tolist() == [63, 97, 88, 43, 0, 62, 28, 36]
    digest = hashlib.sha256(order.astype("<i4").tobytes()).hexdigest()
    assert digest == "2fad0f102754a2969cc66949060aae6161de260fe4f8a3b44a418a9c65876fc2"


def test_tiles_drawn_with_replacement_come_as_often_as_their_patch_says():
    probability = np.array([0.5, 0.0, 0.3, 0.2])
    options = dict(patch_px=256, tile_px=64, probability=probability, seed=3)
    epochs = [epoch_order(4, batch_size=8, epoch=epoch, **options) for epoch in range(200)]
    assert {order.shape for order in epochs} == {(8, 8)}
    drawn = np.concatenate(epochs).ravel()
    patch, top, left = tile_place(drawn, patch_px=256, tile_px=64, patch_count=4)
    # 12,800 draws: four standard deviations are .018.
    assert np.bincount(patch, minlength=4) / drawn.size == pytest.approx(probability, abs=0.018)
    tile = top // 64 * 4 + left // 64
    assert np.bincount(tile) / drawn.size == pytest.approx(1 / 16, abs=0.009)


def test_a_tile_that_an_epoch_repeats_has_another_number_each_time_and_the_same_pixels(patches):
    """Augmentation is drawn for each number."""
    order = {**FEED, "epoch": 0, "probability": np.array([0.9, 0.1, 0, 0, 0, 0, 0])}
    batches = list(training_batches(patches, np.arange(7), **order))
    numbers = np.concatenate([batch.index for batch in batches])
    examples = 7 * tiles_per_patch(256, FEED["tile_px"])
    assert len(set(numbers)) == len(numbers)
    assert len(set(numbers % examples)) < len(numbers)
    source = DevicePatches(image=patches.image, label=patches.label, group=patches.group)
    for batch in batches:
        cut = cut_tiles(source, batch.index, tile_px=FEED["tile_px"], patch_count=7)
        np.testing.assert_array_equal(cut.image, batch.image)
        np.testing.assert_array_equal(cut.group, batch.group)


def test_random_crops_are_of_the_same_patches_as_the_grid_and_lie_anywhere_in_them(patches):
    options = {**FEED, "epoch": 2}
    grid = list(training_batches(patches, np.arange(7), **options))
    crops = list(training_batches(patches, np.arange(7), **options, crops="random"))
    corners = []
    for batch, of_grid in zip(crops, grid, strict=True):
        np.testing.assert_array_equal(batch.index, of_grid.index)
        for image, number in zip(batch.image, batch.index, strict=True):
            top, left, patch = int(image[0, 0, 0]), int(image[0, 0, 1]), number // 16
            np.testing.assert_array_equal(image, patches.image[patch, top : top + 64, left : left + 64])
            corners.append((top, left))
    # 112 corners, uniform from 0 to 192: the standard deviation of a mean is 5.3.
    assert len(set(corners)) > 100
    assert np.mean(corners, axis=0) == pytest.approx(96, abs=21)
    assert np.max(corners) <= 192
    continued = list(training_batches(patches, np.arange(7), **options, crops="random", first_step=3))
    np.testing.assert_array_equal(continued[0].image, crops[3].image)
    following = next(training_batches(patches, np.arange(7), **{**options, "epoch": 3}, crops="random"))
    assert not np.array_equal(following.image, crops[0].image)


def test_random_corners_reach_both_ends():
    corners = random_corners(np.zeros((50, 8)), patch_px=34, tile_px=32, seed=0, epoch=0)
    assert corners.shape == (50, 8, 2)
    assert np.unique(corners).tolist() == [0, 1, 2]


def test_numbers_of_repeats_stay_within_int32(monkeypatch):
    """An epoch of one tile alone, with as many tiles as leave no room for so many repeats."""
    monkeypatch.setattr(order, "tiles_per_patch", lambda patch_px, tile_px: 2**13)
    drawn = order.epoch_order(
        128, patch_px=1, tile_px=1, batch_size=1, seed=0, epoch=0, probability=np.eye(128)[5]
    )
    assert drawn.min() >= 0
    repeats = drawn // (128 * 2**13)
    assert repeats.max() < 2**31 // (128 * 2**13)


@pytest.mark.parametrize("probability", [None, np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])])
def test_an_order_does_not_depend_on_the_batch_size(probability):
    options = dict(patch_px=256, tile_px=64, seed=5, epoch=2, probability=probability)
    orders = [epoch_order(7, batch_size=size, **options).ravel() for size in (3, 8)]
    shared = min(map(len, orders))
    np.testing.assert_array_equal(orders[0][:shared], orders[1][:shared])


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 8, 16])
def test_evaluation_sees_every_patch_once_in_order_whatever_the_batch(patches, batch_size):
    rows = np.array([6, 0, 3, 1, 4])
    batches = list(evaluation_batches(patches, rows, batch_size=batch_size))
    valid = np.concatenate([batch.valid for batch in batches])
    assert all(len(batch.valid) == len(batch.image) == batch_size for batch in batches)
    np.testing.assert_array_equal(np.concatenate([batch.index for batch in batches])[valid], np.arange(5))
    np.testing.assert_array_equal(np.concatenate([batch.group for batch in batches])[valid], rows)
    np.testing.assert_array_equal(
        np.concatenate([batch.image for batch in batches])[valid], patches.image[rows]
    )
