import numpy as np
import pytest

from nucseg_jax.data.batches import evaluation_batches, training_batches
from nucseg_jax.data.order import epoch_order, steps_per_epoch, tile_place, tiles_per_patch
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


def test_order_depends_on_seed_and_epoch_alone_and_can_be_taken_up_anywhere(patches):
    def order(**changes):
        feed = training_batches(patches, np.arange(7), **{**FEED, "epoch": 2, **changes})
        return [batch.index.tolist() for batch in feed]

    assert order() == order()
    assert order(first_step=5) == order()[5:]
    assert order(seed=6) != order()
    assert order(epoch=3) != order()


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
