"""Errors of single nuclei, from scenes whose errors are known."""

import numpy as np

from nucseg_jax.evaluation.instances.instance_map import instance_map
from nucseg_jax.evaluation.instances.nucleus_errors import NucleusErrors, nucleus_errors
from nucseg_jax.evaluation.instances.overlap import overlap
from tests.evaluation.instances import slow_reference as slow
from tests.evaluation.instances.random_maps import random_image


def errors(truth: np.ndarray, prediction: np.ndarray) -> NucleusErrors:
    return nucleus_errors(overlap(instance_map(truth), instance_map(prediction)))


def test_equal_maps_have_no_errors_and_empty_ones_neither():
    truth = np.array([[1, 1, 0], [0, 2, 2]])
    assert not any(kind.any() for kind in errors(truth, truth))
    assert [len(kind) for kind in errors(truth * 0, truth * 0)] == [0, 0, 0, 0]
    assert errors(truth, truth * 0).missed.all()
    assert errors(truth * 0, truth).extra.all()


def test_exactly_half_makes_neither_merge_nor_split():
    two = np.array([[1, 1, 2, 2]])
    half_of_each = np.array([[0, 5, 5, 0]])
    assert not errors(two, half_of_each).merged.any()
    assert not errors(half_of_each, two).split.any()
    assert errors(two, np.array([[5, 5, 5, 5]])).merged.tolist() == [True]
    assert errors(np.array([[5, 5, 5, 5]]), two).split.tolist() == [True]


def test_a_split_is_a_merge_with_the_maps_exchanged():
    for seed in range(30):
        image = random_image(seed)
        found, exchanged = errors(image.truth, image.prediction), errors(image.prediction, image.truth)
        for one, other in (("missed", "extra"), ("split", "merged")):
            np.testing.assert_array_equal(getattr(found, one), getattr(exchanged, other))
            np.testing.assert_array_equal(getattr(found, other), getattr(exchanged, one))


def test_what_is_found_are_the_matches_of_the_slow_reference():
    for seed in range(30):
        image = random_image(seed)
        count = len(slow.matches(image.truth, image.prediction))
        found = errors(image.truth, image.prediction)
        assert np.count_nonzero(~found.missed) == np.count_nonzero(~found.extra) == count
        of_truth, of_prediction = slow.masks(image.truth).values(), slow.masks(image.prediction).values()
        merged = [sum(2 * (a & b).sum() > a.sum() for a in of_truth) > 1 for b in of_prediction]
        assert found.merged.sum() == sum(merged)
