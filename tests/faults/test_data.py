"""A prepared data set that was damaged later is never trained on: an error, or the very same patches."""

import pathlib
import random
import shutil

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.pannuke import reader
from nucseg_jax.data.pannuke.location import dataset_folder


@pytest.fixture
def copied(painted, tmp_path):
    shutil.copytree(painted, tmp_path / "data")
    return tmp_path / "data"


def record_file(data_dir: pathlib.Path, fold: int) -> pathlib.Path:
    (path,) = dataset_folder(data_dir).glob(f"*fold{fold}.array_record*")
    return path


def test_any_flipped_bit_or_cut_is_an_error_or_changes_no_patch(painted, copied):
    """Bits all over the file, its headers and its index at the end among them."""
    expected, path, drawn = reader.read_folds(painted, [2]), record_file(copied, 2), random.Random(0)
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
    assert refused > 30
    path.write_bytes(content)
    assert not refuses(copied, expected)


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
    assert "is damaged: fold 1 cannot be" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "results.json").exists()
