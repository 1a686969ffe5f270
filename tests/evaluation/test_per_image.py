import csv
import pathlib

import jax
import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image, write_per_image
from nucseg_jax.evaluation.scores import scores


def split_of(images: int, classes: int) -> tuple[Counts, np.ndarray]:
    rng = np.random.default_rng(images)
    counts = Counts.from_batch(
        counts=rng.integers(0, 3, (images, classes, 4)),
        index=np.arange(images),
        group=rng.integers(0, 19, images),
        losses={"dice_loss": rng.random(images, np.float32), "focal_loss": rng.random(images, np.float32)},
        valid=np.ones(images, bool),
    )
    return counts, np.stack([rng.integers(1, 4, images), rng.permutation(images)], axis=1).astype(np.int32)


@pytest.mark.parametrize(("images", "classes"), [(30, 1), (30, 6), (0, 1)])
def test_round_trip(tmp_path: pathlib.Path, images: int, classes: int):
    counts, patches = split_of(images, classes)
    path = per_image_path(tmp_path, "test")
    write_per_image(path, counts, patches)
    read, read_patches = read_per_image(path)
    assert jax.tree.structure(read) == jax.tree.structure(counts)
    for found, expected in zip(jax.tree.leaves(read), jax.tree.leaves(counts), strict=True):
        assert np.array_equal(found, expected)
        assert found.dtype == expected.dtype
    assert np.array_equal(read_patches, patches)
    assert scores(read) == scores(counts)
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_by_hand(tmp_path: pathlib.Path):
    counts = Counts.from_batch(
        counts=np.array([[[6, 2, 4, 88]], [[0, 0, 0, 100]]]),
        index=np.array([2, 0]),
        group=np.array([3, 18]),
        losses={"dice_loss": np.array([0.1, np.nan], np.float32)},
        valid=np.ones(2, bool),
    )
    path = tmp_path / "per_image_test.csv"
    write_per_image(path, counts, np.array([[3, 7], [3, 8], [1, 9]]))
    with path.open(newline="") as file:
        empty, other = csv.DictReader(file)
    assert ",".join(other.values()) == "2,1,9,Breast,6,2,4,88,0.666667,0.500000,0.1"
    assert (empty["tissue"], empty["nucleus_dice"], empty["dice_loss"]) == ("Uterus", "", "")
    assert np.isnan(read_per_image(path)[0].losses["dice_loss"][0])


def test_a_file_of_another_kind_is_named(tmp_path: pathlib.Path):
    path = tmp_path / "per_image_test.csv"
    with pytest.raises(UserError, match="does not exist"):
        read_per_image(path)
    for text in ("", "a,b\n1,2\n", "index,fold,row,tissue,nucleus_tp\n0,1,2,Breast,5\n"):
        path.write_text(text)
        with pytest.raises(UserError, match="not a table of per-image counts"):
            read_per_image(path)
