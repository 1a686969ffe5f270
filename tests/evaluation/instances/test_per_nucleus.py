"""The table of nuclei: a line for each pair and each unmatched nucleus."""

import csv

import numpy as np
import pytest

from nucseg_jax.data.csv_columns import read_columns
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.instances.image_counts import classified_pair, count_image
from nucseg_jax.evaluation.instances.per_nucleus import COLUMNS, nucleus_columns, write_per_nucleus
from tests.evaluation.instances import slow_reference as slow
from tests.evaluation.instances.random_maps import Image, random_image


def columns_of(image: Image, index: int = 0) -> dict[str, list]:
    return nucleus_columns(index, classified_pair(*image, num_classes=5), PANNUKE)


def test_lines_by_hand(tmp_path):
    truth = np.array([[5, 5, 5, 5, 0, 2, 2, 0, 0]])
    label = np.array([[1, 1, 1, 1, 0, 4, 4, 0, 255]], np.uint8)
    prediction = np.array([[9, 9, 9, 0, 0, 0, 0, 3, 8]])
    classes = np.array([0, 0, 0, 2, 0, 0, 0, 0, 1, 5])
    write_per_nucleus(
        tmp_path / "nuclei.csv", [columns_of(Image(truth, label, prediction, classes), index=12)]
    )
    assert (tmp_path / "nuclei.csv").read_text() == (
        "index,truth_id,prediction_id,truth_class,predicted_class,iou,centroid_distance_px\n"
        "12,5,9,Neoplastic,Epithelial,0.750000,0.500000\n"
        "12,2,,Dead,,,\n"
        "12,,3,,Inflammatory,,\n"
    )


@pytest.mark.parametrize("seed", range(10))
def test_lines_are_the_counts_one_by_one(seed):
    image = random_image(seed, has_void=True)
    columns = columns_of(image)
    counts = count_image(*image, num_classes=5, microns_per_px=0.25)
    has_truth, has_prediction = (np.array(columns[name]) != "" for name in ("truth_id", "prediction_id"))
    assert [(has_truth & has_prediction).sum(), (~has_truth).sum(), (~has_prediction).sum()] == [
        counts.tp[0],
        counts.fp[0],
        counts.fn[0],
    ]
    assert sum(value for value in columns["iou"] if value != "") == pytest.approx(counts.iou_sum[0])
    assert {len(values) for values in columns.values()} == {len(has_truth)}


@pytest.mark.parametrize("seed", range(1, 5))
def test_pairs_are_those_of_the_slow_reference(seed):
    image = random_image(seed)
    columns = columns_of(image)
    rows = zip(
        *(columns[name] for name in ("truth_id", "prediction_id", "iou", "centroid_distance_px")), strict=True
    )
    found = {(t, p): (iou, distance) for t, p, iou, distance in rows if iou != ""}
    expected = slow.matches(image.truth, image.prediction)
    assert found.keys() == expected.keys()
    truth, prediction = slow.centroids(image.truth), slow.centroids(image.prediction)
    for (t, p), (iou, distance) in found.items():
        assert iou == float(expected[t, p])
        assert distance == pytest.approx(np.hypot(*np.subtract(truth[t], prediction[p])), abs=1e-12)


def test_the_file_reads_back_as_a_table(tmp_path):
    path = tmp_path / "nuclei.csv"
    images = [columns_of(random_image(seed), index=seed) for seed in range(5)]
    write_per_nucleus(path, images)
    lines = read_columns(path, COLUMNS)
    assert [line["index"] for _, line in lines] == [
        str(each) for columns in images for each in columns["index"]
    ]
    write_per_nucleus(path, [])
    assert next(csv.reader(path.open())) == list(COLUMNS)


def test_without_classes_their_cells_are_empty():
    image = random_image(1)
    pair = classified_pair(*image[:3], None, num_classes=0)
    columns = nucleus_columns(0, pair, DatasetInfo(name="ovary"))
    assert set(columns["truth_class"] + columns["predicted_class"]) == {""}
