"""Panoptic quality, AJI, AJI+ and Dice2 of single images."""

from fractions import Fraction

import numpy as np
import pytest

from nucseg_jax.evaluation.instances.aggregated_jaccard import (
    PixelRatio,
    aggregated_jaccard,
    aggregated_jaccard_plus,
    ensemble_dice,
)
from nucseg_jax.evaluation.instances.instance_map import instance_map
from nucseg_jax.evaluation.instances.overlap import Overlap, overlap
from nucseg_jax.evaluation.instances.panoptic import count_matches, panoptic_quality
from tests.evaluation.instances import slow_reference as slow
from tests.evaluation.instances.random_maps import random_image


def pairs_of(truth, prediction) -> Overlap:
    return overlap(instance_map(np.array(truth)), instance_map(np.array(prediction)))


def quality_of(truth, prediction) -> tuple[float, float, float]:
    pairs = pairs_of(truth, prediction)
    counts = count_matches(pairs, np.ones(len(pairs.truth_px)), np.ones(len(pairs.prediction_px)), 0)
    return tuple(float(each[0]) for each in panoptic_quality(*counts))


def fraction(ratio: PixelRatio) -> Fraction | None:
    return Fraction(*ratio) if ratio.denominator else None


def test_golden_vectors():
    """Those that the definitions of the field give by hand."""
    dq, sq, pq = quality_of([[0, 1, 1]], [[0, 5, 5]])
    assert (dq, round(sq, 6), round(pq, 6)) == (1, 0.999999, 0.999999)
    assert quality_of([[0, 1, 1]], [[0, 1, 0]]) == (0, 0, 0)
    assert quality_of([[1, 0, 2]], [[0, 0, 0]]) == (0, 0, 0)
    assert np.isnan(quality_of([[0, 0]], [[0, 0]])).all()


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_the_slow_reference(seed):
    image = random_image(seed)
    expected = slow.panoptic(image.truth, image.prediction)
    if not np.isnan(expected[0]):
        assert quality_of(image.truth, image.prediction) == pytest.approx(expected, abs=1e-15)
    pairs = pairs_of(image.truth, image.prediction)
    assert fraction(aggregated_jaccard(pairs)) == slow.aji(image.truth, image.prediction)
    if len(pairs.truth):
        assert fraction(ensemble_dice(pairs)) == slow.dice2(image.truth, image.prediction)


@pytest.mark.parametrize("seed", range(20))
def test_aji_plus_is_that_of_the_assignment_of_the_largest_sum_of_iou(seed):
    image = random_image(seed)
    truth, prediction = list(slow.masks(image.truth).values()), list(slow.masks(image.prediction).values())
    weights = [[float(slow.iou(a, b)) for b in prediction] for a in truth]
    chosen = [(t, p) for t, p in slow.best_assignment(weights) if weights[t][p] > 0] if truth else []
    inter = sum(int((truth[t] & prediction[p]).sum()) for t, p in chosen)
    area = sum(int(mask.sum()) for mask in [*truth, *prediction])
    found = fraction(aggregated_jaccard_plus(pairs_of(image.truth, image.prediction)))
    assert found == (Fraction(inter, area - inter) if area else None)


def test_one_prediction_over_two_nuclei():
    """AJI uses it twice; AJI+ and PQ once at most."""
    truth, prediction = [[1, 1, 1, 2, 0]], [[7, 7, 7, 7, 7]]
    pairs = pairs_of(truth, prediction)
    assert aggregated_jaccard(pairs) == (3 + 1, 5 + 5)
    assert aggregated_jaccard_plus(pairs) == (3, 5 + 1)
    assert ensemble_dice(pairs) == (2 * 4, 3 + 5 + 1 + 5)
    assert quality_of(truth, prediction)[0] == 1 / (1 + 0.5)


def test_ties_go_to_the_first_pixel_whatever_the_ids():
    """Both predictions have half of the nucleus; the second serves another nucleus too, if it is chosen."""
    truth, first, second = np.array([[1, 1, 2, 0]]), np.array([[5, 6, 6, 0]]), np.array([[6, 5, 5, 0]])
    assert aggregated_jaccard(pairs_of(truth, first)) == aggregated_jaccard(pairs_of(truth, second))
    # 1/6 by one pixel of 6, and by two of 12: the larger intersection comes before the first pixel.
    even = pairs_of([[1] * 6 + [0] * 6], [[3] + [0] * 3 + [4] * 8])
    assert aggregated_jaccard(even) == (2, 12 + 1)


def test_classes_split_the_counts():
    pairs = pairs_of([[1, 1, 0, 2, 2, 0, 3]], [[1, 1, 0, 2, 2, 4, 0]])
    counts = count_matches(pairs, np.array([1, 2, 2]), np.array([1, 1, 0]), 2)
    assert counts.tp.tolist() == [2, 1, 0]
    assert counts.fp.tolist() == [1, 1, 0]  # the third prediction has no class
    assert counts.fn.tolist() == [1, 0, 2]
    assert counts.iou_sum.tolist() == [2, 1, 0]
