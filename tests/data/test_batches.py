import numpy as np
import pytest

from nucseg_jax.data.batches import evaluation_batches, training_batches
from nucseg_jax.data.order import steps_per_epoch, tiles_per_patch
from nucseg_jax.data.patch_store import Patches

FEED = dict(tile_px=64, batch_size=8, seed=5)


@pytest.fixture(scope="module")
def patches() -> Patches:
    """Every pixel of a patch holds its row and column, so that a tile tells where it was cut."""
    P = 7
    rows, columns = np.mgrid[:256, :256].astype(np.uint8)
    image = np.stack([np.stack([rows, columns, np.full_like(rows, patch)], -1) for patch in range(P)])
    return Patches(
        image=image,
        label=image[..., 0] % 6,
        group=np.arange(P, dtype=np.int32),
        fold=np.ones(P, np.int32),
        index=np.arange(P, dtype=np.int32),
    )


def test_an_epoch_is_every_tile_once_but_for_the_tail(patches):
    rows = np.array([2, 5, 6])
    batches = list(training_batches(patches, rows, **FEED, epoch=0))
    assert len(batches) == steps_per_epoch(3, tile_px=64, batch_size=8) == 6
    seen = np.concatenate([batch.index for batch in batches])
    assert sorted(seen) == list(range(48))
    for batch in batches:
        assert batch.valid.all()
        for image, label, index in zip(batch.image, batch.label, batch.index, strict=True):
            patch, tile = divmod(index, tiles_per_patch(64))
            top, left = 64 * (tile // 4), 64 * (tile % 4)
            expected = patches.image[rows[patch], top : top + 64, left : left + 64]
            np.testing.assert_array_equal(image, expected)
            np.testing.assert_array_equal(label, expected[..., 0] % 6)


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
