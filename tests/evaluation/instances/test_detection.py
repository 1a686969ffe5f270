"""Centroids paired, and detection and class F1 in both modes."""

import math

import numpy as np
import pytest

from nucseg_jax.evaluation.instances.detection import (
    CELLS,
    count_detections,
    detection_f1,
    pair_centroids,
    radius_px,
)
from nucseg_jax.evaluation.instances.instance_map import instance_map
from tests.evaluation.instances import slow_reference as slow
from tests.evaluation.instances.random_maps import random_image

MICRONS_PER_PX = 1.0  # a radius of 3 px, so that small images have pairs that are too far apart


def points(*places: tuple[int, int], px: int = 40) -> np.ndarray:
    """A map of one-pixel nuclei, ids 1, 2, ... in the order given."""
    ids: np.ndarray = np.zeros((px, px), np.int32)
    for number, place in enumerate(places, start=1):
        ids[place] = number
    return ids


def counted(truth, truth_class, prediction, prediction_class, num_classes=2, microns_per_px=0.25):
    """Counts of both modes; classes by id."""
    a, b = instance_map(truth), instance_map(prediction)
    return count_detections(
        a,
        np.array([0, *truth_class])[a.ids],
        b,
        np.array([0, *prediction_class])[b.ids],
        num_classes=num_classes,
        microns_per_px=microns_per_px,
    )


def slow_cells(
    pairs, truth_class: dict[int, int], prediction_class: dict[int, int], number: int
) -> list[int]:
    """The counts of one class, from pairs of ids."""
    of_truth, of_prediction = {t for t, _ in pairs}, {p for _, p in pairs}
    is_pair = [(truth_class[t] == number, prediction_class[p] == number) for t, p in pairs]
    return [
        *(is_pair.count(kind) for kind in ((True, True), (False, False), (False, True), (True, False))),
        sum(c == number for p, c in prediction_class.items() if p not in of_prediction),
        sum(c == number for t, c in truth_class.items() if t not in of_truth),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_the_slow_reference(seed):
    image = random_image(seed, nuclei=5)
    truth_class = slow.class_of_truth(image.truth, image.label)
    prediction_class = {p: int(image.prediction_class[p]) for p in slow.masks(image.prediction)}
    pairs = slow.detections(image.truth, image.prediction, radius_px(MICRONS_PER_PX))
    a, b = instance_map(image.truth), instance_map(image.prediction)
    found = count_detections(
        a,
        np.array([truth_class[t] for t in a.ids]),
        b,
        np.array([prediction_class[p] for p in b.ids]),
        num_classes=5,
        microns_per_px=MICRONS_PER_PX,
    )
    T, P, R = len(truth_class), len(prediction_class), len(pairs)
    assert found["plain"][0].tolist() == [R, 0, 0, 0, P - R, T - R]
    for number in range(1, 6):
        expected = slow_cells(pairs, truth_class, prediction_class, number)
        assert found["plain"][number].tolist() == expected
        if T and P:
            assert found["parity"][number].tolist() == [expected[0], 0, *expected[2:]]


def test_the_radius_is_3_microns_itself_included():
    """12 px at 40x, 6 px at 20x."""
    near, far = points((0, 0)), points((0, 13))
    assert counted(near, [1], points((0, 12)), [1])["plain"][0].tolist() == [1, 0, 0, 0, 0, 0]
    assert counted(near, [1], far, [1])["plain"][0].tolist() == [0, 0, 0, 0, 1, 1]
    assert counted(near, [1], points((0, 6)), [1], microns_per_px=0.5)["plain"][0, 0] == 1
    assert counted(near, [1], points((0, 7)), [1], microns_per_px=0.5)["plain"][0, 0] == 0


def test_the_sum_of_distances_is_smallest_before_far_pairs_are_taken_apart():
    """Two pairs of at most 12 px would be possible, with a sum of 23.2; those of the sum 22.6 leave one."""
    pairs = pair_centroids(np.array([[0.0, 0], [0, 12]]), np.array([[0.0, 12], [5, 22]]), radius_px=12.0)
    assert list(zip(pairs.truth, pairs.prediction, pairs.distance_px, strict=True)) == [(1, 0, 0)]


def test_class_f1_by_hand():
    """Four pairs: right, right, confused, right in class 2; a lone prediction and a lone truth nucleus."""
    row = [(0, 0), (0, 20), (20, 0), (20, 20)]
    cells = counted(points(*row, (39, 39)), [1, 1, 1, 2, 1], points(*row, (39, 20)), [1, 1, 2, 2, 2])
    assert dict(zip(CELLS, cells["plain"][1].tolist(), strict=True)) == {
        "tp": 2, "tn": 1, "fp": 0, "fn": 1, "fp_unpaired": 0, "fn_unpaired": 1,
    }  # fmt: skip
    plain, parity = detection_f1(cells["plain"]), detection_f1(cells["parity"])
    assert plain.tolist() == [8 / (8 + 1 + 1), 6 / (6 + 2 + 1), 6 / (6 + 2 + 1)]
    assert parity.tolist() == [8 / (8 + 1 + 1), 4 / (4 + 2 + 1), 2 / (2 + 2 + 1)]


def test_images_without_nuclei_have_one_at_the_origin_in_parity_mode_alone():
    nothing = points()
    both = counted(nothing, [], nothing, [])
    assert both["plain"].sum() == 0
    assert both["parity"][0].tolist() == [1, 0, 0, 0, 0, 0]
    near = counted(nothing, [], points((3, 4), (30, 30)), [1, 2])
    assert near["plain"][0].tolist() == [0, 0, 0, 0, 2, 0]
    assert near["parity"].tolist() == [[1, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0]]
    far = counted(points((30, 30)), [2], nothing, [])
    assert far["parity"].tolist() == [[0, 0, 0, 0, 1, 1], [0] * 6, [0, 0, 0, 0, 0, 1]]


def test_a_class_that_is_nowhere_has_no_f1():
    """Not even where pairs of other classes make true negatives."""
    cells = counted(points((0, 0)), [1], points((0, 0)), [1])["plain"]
    assert cells[2].tolist() == [0, 1, 0, 0, 0, 0]
    assert math.isnan(detection_f1(cells)[2])
    assert detection_f1(cells)[1] == 1
