import concurrent.futures

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.batches import evaluation_batches, training_batches
from nucseg_jax.data.store import reader
from nucseg_jax.data.store.location import dataset_folder
from tests.data.sources.pannuke.prepared import forget_checksums, record_file


def require_equal(one, other):
    assert one.instance is not None
    for name, array in vars(one).items():
        np.testing.assert_array_equal(array, getattr(other, name), err_msg=name)
        assert array.dtype == getattr(other, name).dtype


def test_rows_on_disk_are_the_rows_in_memory_in_any_order_and_from_any_thread(painted):
    stored = reader.open_folds(painted, [2, 1], with_instances=True)
    patches = reader.read_folds(painted, [1, 2], with_instances=True)
    np.testing.assert_array_equal(stored.fold, patches.fold)
    np.testing.assert_array_equal(stored.index, patches.index)
    lists = [np.random.default_rng(seed).integers(0, 10, 7) for seed in range(8)]
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for rows, taken in zip(lists, threads.map(stored.take, lists), strict=True):
            require_equal(taken, patches.take(rows))


def test_batches_of_both_are_equal(painted):
    stored, patches = (
        read(painted, [3], with_instances=True) for read in (reader.open_folds, reader.read_folds)
    )
    rows = np.array([3, 0, 4])
    options = dict(patch_px=256, tile_px=128, batch_size=3, seed=1, epoch=2, first_step=1)
    for of_stored, of_patches in (
        (evaluation_batches(stored, rows, batch_size=2), evaluation_batches(patches, rows, batch_size=2)),
        (training_batches(stored, rows, **options), training_batches(patches, rows, **options)),
    ):
        for one, other in zip(of_stored, of_patches, strict=True):
            require_equal(one, other)


def test_a_damaged_record_is_an_error_of_the_user_when_it_is_reached(painted, tmp_path):
    folder = dataset_folder(tmp_path)
    folder.mkdir(parents=True)
    for file in dataset_folder(painted).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    record = record_file(tmp_path, 2)
    forget_checksums(tmp_path)
    content = record.read_bytes()
    middle = len(content) // 2
    record.write_bytes(content[:middle] + bytes(300_000) + content[middle + 300_000 :])
    stored = reader.open_folds(tmp_path, [2])
    with pytest.raises(UserError, match="fold 2 cannot be read"):
        list(evaluation_batches(stored, np.arange(5), batch_size=1))
