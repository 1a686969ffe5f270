import csv
import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image, write_per_image


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


def index_of(patches: np.ndarray, images: tuple[str, ...] | None = None) -> PatchIndex:
    """These patches as a data set has them, sorted; of named images, or of none."""
    order = np.lexsort((patches[:, 1], patches[:, 0]))
    fold, row = patches[order].astype(np.int32).T
    names = ("",) * len(order) if images is None else tuple(images[place] for place in order)
    return PatchIndex(fold, row, None, names, 10 * row, 100 * row, ("",) * len(order))


@pytest.mark.parametrize(("images", "classes"), [(30, 1), (30, 6), (0, 1)])
def test_round_trip(tmp_path: pathlib.Path, images: int, classes: int):
    counts, patches = split_of(images, classes)
    path = per_image_path(tmp_path, "test")
    write_per_image(path, counts, patches, info=PANNUKE, index=index_of(patches))
    read, read_patches = read_per_image(path, PANNUKE)
    assert jax.tree.structure(read) == jax.tree.structure(counts)
    for found, expected in zip(jax.tree.leaves(read), jax.tree.leaves(counts), strict=True):
        assert np.array_equal(found, expected)
        assert found.dtype == expected.dtype
    assert np.array_equal(read_patches, patches)
    assert read.scores(PANNUKE) == counts.scores(PANNUKE)
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
    patches = np.array([[3, 7], [3, 8], [1, 9]])
    write_per_image(path, counts, patches, info=PANNUKE, index=index_of(patches))
    with path.open(newline="") as file:
        empty, other = csv.DictReader(file)
    assert ",".join(other.values()) == "2,1,9,Breast,6,2,4,88,0.666667,0.500000,0.1"
    assert (empty["tissue"], empty["nucleus_dice"], empty["dice_loss"]) == ("Uterus", "", "")
    assert np.isnan(read_per_image(path, PANNUKE)[0].losses["dice_loss"][0])


def test_a_file_of_another_kind_is_named(tmp_path: pathlib.Path):
    path = tmp_path / "per_image_test.csv"
    with pytest.raises(UserError, match="does not exist"):
        read_per_image(path, PANNUKE)
    for text in ("", "a,b\n1,2\n", "index,fold,row,tissue,nucleus_tp\n0,1,2,Breast,5\n"):
        path.write_text(text)
        with pytest.raises(UserError, match="not a table of per-image counts"):
            read_per_image(path, PANNUKE)


TOY = DatasetInfo(
    "toy",
    (NucleusClass("Tumour cell", (9, 8, 7)), NucleusClass("stroma", (1, 2, 3))),
    ("ann", "bob"),
)


def test_another_data_set_has_its_own_columns_and_tells_where_each_patch_was(tmp_path: pathlib.Path):
    counts = Counts.from_batch(
        counts=np.array([[[6, 2, 4, 88], [1, 0, 3, 96], [5, 2, 1, 92]]] * 2),
        index=np.array([1, 0]),
        group=np.array([0, 1]),
        losses={},
        valid=np.ones(2, bool),
    )
    patches = np.array([[2, 3], [1, 4]])
    path = tmp_path / "per_image_test.csv"
    write_per_image(path, counts, patches, info=TOY, index=index_of(patches, ("a, b.png", "c.tif")))
    with path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first)[:8] == ["index", "fold", "row", "group", "image", "top", "left", "nucleus_tp"]
    assert list(first.values())[:7] == ["0", "2", "3", "bob", "a, b.png", "30", "300"]
    assert list(second.values())[:7] == ["1", "1", "4", "ann", "c.tif", "40", "400"]
    assert (first["tumour_cell_fn"], first["stroma_tp"]) == ("3", "5")
    read, listed = read_per_image(path, TOY)
    assert np.array_equal(listed, patches)
    assert np.array_equal(read.counts, counts.counts)
    assert read.group.tolist() == [1, 0]


@pytest.mark.parametrize(
    "other",
    [
        PANNUKE,
        dataclasses.replace(TOY, classes=TOY.classes[::-1]),
        dataclasses.replace(TOY, groups=("ann", "eve")),
        dataclasses.replace(TOY, group_noun="slide"),
        dataclasses.replace(TOY, classes=()),
    ],
    ids=["PanNuke", "classes in another order", "a group unknown", "another word for groups", "no classes"],
)
def test_a_table_is_not_read_by_the_names_of_another_data_set(tmp_path: pathlib.Path, other: DatasetInfo):
    counts = Counts.from_batch(
        counts=np.ones((2, 3, 4), int),
        index=np.arange(2),
        group=np.arange(2),
        losses={},
        valid=np.ones(2, bool),
    )
    patches = np.array([[1, 0], [1, 1]])
    path = tmp_path / "per_image_test.csv"
    write_per_image(path, counts, patches, info=TOY, index=index_of(patches))
    with pytest.raises(UserError, match="not a table of per-image counts"):
        read_per_image(path, other)
