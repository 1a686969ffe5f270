"""Counts of nuclei as a CSV file: they read back as they were, and nothing else is taken for them."""

import csv
import dataclasses
import pathlib

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.instances.image_counts import count_image
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.instances.per_image_instances import (
    per_image_instances_path,
    read_per_image_instances,
    write_per_image_instances,
)
from tests.evaluation.instances.random_maps import random_image
from tests.evaluation.instances.random_split import GROUPS, IMAGES, N

RNG = np.random.default_rng(3)
PATCHES = np.stack([RNG.integers(1, 4, N), RNG.permutation(N)], axis=1).astype(np.int32)
INDEX = RNG.permutation(N).tolist()
VOID = [random_image(seed, has_void=True) for seed in range(N - 1)]
VOID.append(VOID[0]._replace(label=np.full_like(VOID[0].label, 255)))


def counts_of(images: list, num_classes: int) -> InstanceCounts:
    counted = [count_image(*image, num_classes=num_classes, microns_per_px=1.0) for image in images]
    return InstanceCounts.of_images(counted, index=INDEX, group=GROUPS)


def index_of(images: tuple[str, ...]) -> PatchIndex:
    order = np.lexsort((PATCHES[:, 1], PATCHES[:, 0]))
    fold, row = PATCHES[order].T
    return PatchIndex(fold, row, None, images, 10 * row, 100 * row, ("",) * N)


NOWHERE = index_of(("",) * N)


def arrays_of(counts: InstanceCounts) -> list[np.ndarray]:
    return [counts.index, counts.group, *counts.images]


def lines_of(path: pathlib.Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("places", [("",) * N, tuple(f"a, {number}.png" for number in range(N))])
@pytest.mark.parametrize("num_classes", [0, 5])
@pytest.mark.parametrize("images", [IMAGES, VOID], ids=["all annotated", "void"])
def test_counts_read_back_to_the_last_bit(tmp_path: pathlib.Path, images, num_classes, places):
    counts = counts_of(images, num_classes)
    path = per_image_instances_path(tmp_path, "test")
    write_per_image_instances(path, counts, PATCHES, info=PANNUKE, index=index_of(places))
    read, patches = read_per_image_instances(path, PANNUKE)
    for found, expected in zip(arrays_of(read), arrays_of(counts), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    np.testing.assert_array_equal(patches, PATCHES)
    assert read.scores(PANNUKE) == counts.scores(PANNUKE)
    assert list(tmp_path.iterdir()) == [path]


def test_a_split_without_patches_reads_back(tmp_path: pathlib.Path):
    path = tmp_path / "empty.csv"
    write_per_image_instances(path, InstanceCounts.empty(5), PATCHES, info=PANNUKE, index=NOWHERE)
    read, patches = read_per_image_instances(path, PANNUKE)
    assert (read.num_classes, read.index.shape, patches.shape) == (5, (0,), (0, 2))


def test_a_line_by_hand(tmp_path: pathlib.Path):
    """Truth: 4 and 2 px. Predicted: three of the four, and a lone pixel."""
    truth = np.array([[1, 1, 0, 2], [1, 1, 0, 2]], np.uint16)
    prediction = np.array([[1, 1, 5, 0], [1, 0, 0, 0]], np.uint16)
    label = (truth > 0).astype(np.uint8)
    image = count_image(truth, label, prediction, None, num_classes=0, microns_per_px=3.0)
    path = tmp_path / "one.csv"
    counts = InstanceCounts.of_images([image], index=[1], group=[3])
    patches = np.array([[1, 9], [2, 7]])
    write_per_image_instances(path, counts, patches, info=PANNUKE, index=NOWHERE)
    header, cells = lines_of(path)
    found = dict(zip(header, cells, strict=True))
    assert cells[:5] == ["1", "2", "7", "Breast", "1"]
    expected = {
        **{"nucleus_tp": "1", "nucleus_fp": "1", "nucleus_fn": "1", "nucleus_iou_sum": "0.75"},
        **{"nucleus_dq": "0.500000", "nucleus_sq": "0.749999", "nucleus_pq": "0.375000"},
        **{"aji_numerator": "3", "aji_denominator": "7", "aji": "0.428571"},
        **{"dice2_numerator": "6", "dice2_denominator": "7"},
        # Within one pixel: the four with the three, and the pair with the pixel a column beside, half a row up.
        **{"nucleus_detection_tp": "1", "nucleus_detection_fp_unpaired": "1"},
    }
    assert {name: found[name] for name in expected} == expected


NOT_ITS_OWN = [
    dataclasses.replace(PANNUKE, classes=PANNUKE.classes[::-1]),
    dataclasses.replace(PANNUKE, classes=()),
    dataclasses.replace(PANNUKE, group_noun="organ"),
    dataclasses.replace(PANNUKE, groups=PANNUKE.groups[1:]),
]


@pytest.mark.parametrize("info", NOT_ITS_OWN, ids=["order", "no classes", "noun", "groups"])
def test_a_table_is_not_read_by_the_names_of_another_data_set(tmp_path: pathlib.Path, info: DatasetInfo):
    path = tmp_path / "table.csv"
    write_per_image_instances(path, counts_of(IMAGES, 5), PATCHES, info=PANNUKE, index=NOWHERE)
    with pytest.raises(UserError, match="not a table of instance counts"):
        read_per_image_instances(path, info)


def test_names_that_are_those_of_other_columns_confuse_nothing(tmp_path: pathlib.Path):
    classes = (NucleusClass("nucleus detection", (1, 2, 3)), NucleusClass("b", (4, 5, 6)))
    info = DatasetInfo("odd", classes, ("x", "y", "z", "u", "v"), group_noun="aji")
    images = [image._replace(label=np.minimum(image.label, 2)) for image in IMAGES]
    images = [image._replace(prediction_class=np.minimum(image.prediction_class, 2)) for image in images]
    counts = counts_of(images, 2)
    path = tmp_path / "table.csv"
    write_per_image_instances(path, counts, PATCHES, info=info, index=NOWHERE)
    header = lines_of(path)[0]
    assert len(set(header)) < len(header)
    read, _ = read_per_image_instances(path, info)
    for found, expected in zip(arrays_of(read), arrays_of(counts), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        *(("nucleus_tp", text) for text in ("", "-1", "1.5", "9" * 30, "9" * 9000, "nan", "x")),
        *(("nucleus_iou_sum", text) for text in ("nan", "inf", "-0.5", "1e9", "99", "")),
        *(("annotated", text) for text in ("2", "True")),
        *(("index", text) for text in ("-1", "9" * 20, "1.0")),
        *(("row", text) for text in ("9" * 20, "a")),
        ("tissue", "Moon"),
        ("dead_detection_parity_fn", "-3"),
    ],
)
def test_a_damaged_cell_is_refused(tmp_path: pathlib.Path, column: str, text: str):
    path = tmp_path / "table.csv"
    write_per_image_instances(path, counts_of(IMAGES, 5), PATCHES, info=PANNUKE, index=NOWHERE)
    lines = lines_of(path)
    lines[4][lines[0].index(column)] = text
    path.write_text("\n".join(",".join(line) for line in lines) + "\n")
    with pytest.raises(UserError, match="not a table of instance counts"):
        read_per_image_instances(path, PANNUKE)


def test_other_files_are_named(tmp_path: pathlib.Path):
    path = tmp_path / "table.csv"
    with pytest.raises(UserError, match="does not exist"):
        read_per_image_instances(path, PANNUKE)
    write_per_image_instances(path, counts_of(IMAGES, 5), PATCHES, info=PANNUKE, index=NOWHERE)
    text = path.read_text()
    first, second = text.splitlines()[:2]
    for other in ("", "a,b\n1,2\n", text[:-40], f"{text}{second}\n", text + "1,2\n", first[:-1]):
        path.write_text(other)
        with pytest.raises(UserError, match="not a table of instance counts"):
            read_per_image_instances(path, PANNUKE)
    path.write_bytes(b"\xff\xfe" + text.encode())
    with pytest.raises(UserError, match="not a table of instance counts"):
        read_per_image_instances(path, PANNUKE)
