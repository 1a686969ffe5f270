"""A prepared data set that was damaged later is never trained on: an error, or the very same patches."""

import random
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import synthetic
from nucseg_jax.data.sources.pannuke.builder import Pannuke
from nucseg_jax.data.store import reader
from tests.data.sources.pannuke.prepared import forget_checksums, record_file


@pytest.fixture
def copied(painted, tmp_path):
    shutil.copytree(painted, tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("has_checksums", [True, False])
def test_any_flipped_bit_or_cut_is_an_error(painted, copied, has_checksums):
    """Bits all over the file, its headers and its index at the end among them.

    Without the files' own checksums those of the records remain: what is read in spite of damage is what was prepared.
    """
    expected, path, drawn = reader.read_folds(painted, [2]), record_file(copied, 2), random.Random(0)
    if not has_checksums:
        forget_checksums(copied)
    content = path.read_bytes()
    refused = 0
    places = [*range(0, 64, 4), *(drawn.randrange(len(content)) for _ in range(40)), *range(-64, 0, 4)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << drawn.randrange(8)
        path.write_bytes(damaged)
        refused += refuses(copied, expected)
    for length in (0, 1, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert refuses(copied, expected)
    # The rest fell on what is not read.
    assert refused == len(places) if has_checksums else refused > 30
    path.write_bytes(content)
    assert not refuses(copied, expected)


@pytest.mark.parametrize("has_checksums", [True, False])
def test_a_file_of_another_data_set_is_found_out(copied, tmp_path, has_checksums):
    """It is whole, and every record's checksum agrees: only that of the file tells."""
    synthetic.write_release(tmp_path / "release", patches_per_fold=5, seed=1)
    Pannuke(data_dir=tmp_path / "other").download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=tmp_path / "release")
    )
    shutil.copy(record_file(tmp_path / "other", 2), record_file(copied, 2))
    if has_checksums:
        with pytest.raises(UserError, match=r"is damaged: .*fold2.* was altered after it was written"):
            reader.read_folds(copied, [2])
    else:
        forget_checksums(copied)
        reader.read_folds(copied, [2])
    reader.read_folds(copied, [1, 3])


def refuses(data_dir, expected) -> bool:
    """Whether reading fold 2 is refused; what is read in spite of damage must be what was prepared."""
    try:
        found = reader.read_folds(data_dir, [2])
    except UserError as error:
        assert "damaged" in str(error)  # noqa: PT017
        return True
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), array, err_msg=name)
    return False


def test_training_on_a_damaged_fold_is_refused_before_its_first_step(command_line, tmp_path):
    data_dir = tmp_path / "data"
    shutil.copytree(command_line.data_dir, data_dir)
    path = record_file(data_dir, 1)
    path.write_bytes(path.read_bytes()[:-1000])
    status, _, err = command_line.train(tmp_path / "run", f"--config.data.dir={data_dir}")
    assert status == 2
    assert "fold1" in err
    assert "was altered after it was written" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "results.json").exists()
