"""Canonical maps, their overlaps, and matches by whole numbers."""

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.evaluation.instances.instance_map import instance_map
from nucseg_jax.evaluation.instances.overlap import overlap
from tests.evaluation.instances import slow_reference as slow
from tests.evaluation.instances.random_maps import random_image


@pytest.mark.parametrize("seed", range(12))
def test_sizes_intersections_and_centroids_are_those_of_masks(seed):
    image = random_image(seed)
    truth, prediction = instance_map(image.truth), instance_map(image.prediction)
    of_truth, of_prediction = slow.masks(image.truth), slow.masks(image.prediction)
    assert dict(zip(truth.ids, truth.area_px, strict=True)) == {t: m.sum() for t, m in of_truth.items()}
    assert [image.truth.reshape(-1).tolist().index(each) for each in truth.ids] == sorted(
        image.truth.reshape(-1).tolist().index(each) for each in of_truth
    )
    found = overlap(truth, prediction)
    rows = zip(truth.ids[found.truth], prediction.ids[found.prediction], found.intersection_px, strict=True)
    assert {(t, p): px for t, p, px in rows} == {
        (t, p): (a & b).sum() for t, a in of_truth.items() for p, b in of_prediction.items() if (a & b).any()
    }
    expected = slow.centroids(image.truth)
    for number, centre in zip(truth.ids, truth.centroids(), strict=True):
        assert centre == pytest.approx(expected[number], abs=1e-12)


def test_the_canonical_map_does_not_depend_on_ids_or_dtype():
    image = random_image(3)
    ids = np.unique(image.truth)
    rng = np.random.default_rng(0)
    for dtype, largest in (
        (np.uint8, 250),
        (np.uint16, 65_535),
        (np.int32, 2**31 - 1),
        (np.uint32, 2**32 - 1),
    ):
        renamed = np.concatenate([[0], rng.choice(largest, len(ids) - 1, replace=False) + 1]).astype(dtype)
        again = instance_map(renamed[np.searchsorted(ids, image.truth)])
        np.testing.assert_array_equal(again.number, instance_map(image.truth).number)
        assert set(again.ids.tolist()) == set(renamed[1:].tolist())


def test_tables_and_sorting_count_alike():
    """More pairs of nuclei than the table may hold: every pixel is a nucleus."""
    ids = np.random.default_rng(0).permutation(np.arange(1, 401)).reshape(20, 20)
    found = overlap(instance_map(ids), instance_map(ids.T))
    assert found.intersection_px.tolist() == [1] * 400
    assert found.is_match.all()


@pytest.mark.parametrize(("wide", "is_match"), [(1, False), (2, True)])
def test_an_iou_of_exactly_half_is_no_match(wide, is_match):
    """Two pixels against one of them; in a thirds' ratio that floats could round, too."""
    truth = np.array([[1] * 2 + [0] * 4])
    assert overlap(instance_map(truth), instance_map(np.array([[1] * wide + [0] * (6 - wide)]))).is_match == [
        is_match
    ]
    for scale in (3, 7, 49):
        long = np.repeat(truth, scale, axis=1)
        assert not overlap(instance_map(long), instance_map(long * (np.arange(6 * scale) < scale))).is_match[
            0
        ]


def test_what_is_no_map_of_ids_is_refused():
    for wrong in (np.zeros((2, 2)), np.zeros((2, 2, 1), int), np.zeros((2, 2), bool), np.array([[-1]])):
        with pytest.raises(UserError, match="the prediction"):
            instance_map(wrong, "the prediction")
    with pytest.raises(UserError, match="18446744073709551615"):
        instance_map(np.array([[2**64 - 1]], np.uint64))


def test_an_empty_map():
    empty, full = instance_map(np.zeros((2, 3), np.int32)), instance_map(np.ones((2, 3), np.int32))
    for pair in (overlap(empty, full), overlap(full, empty), overlap(empty, empty)):
        assert len(pair.truth) == len(pair.iou) == 0
    assert empty.centroids().shape == (0, 2)
