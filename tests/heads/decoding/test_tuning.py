import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from nucseg_jax.core.errors import UserError
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.part_by_distance import DistanceParting
from nucseg_jax.heads.decoding.quantize import map_levels
from nucseg_jax.heads.decoding.tuning import tune
from tests.heads.decoding.binary_pq import binary_pq
from tests.heads.decoding.perfect_maps import distance, touching_discs

RULE = NucleusRule(smallest_um2=0.0, parting=DistanceParting())
THRESHOLDS = (0.3, 0.5, 0.7)


@pytest.fixture(scope="module")
def patches():
    """Of an unsure network that calls too little nucleus and blurs the distance."""
    made = []
    for seed in range(3):
        truth = touching_discs(seed, size=64, count=12)
        probability = 0.7 * ndimage.gaussian_filter((truth > 0).astype(float), 1.5)
        maps = ndimage.gaussian_filter(distance(truth), (1.5, 1.5, 0))
        made.append((np.rint(255 * probability).astype(np.uint8), map_levels(maps), truth))
    return made


def test_the_best_of_the_grid_is_found(patches):
    tuned = tune(patches, RULE, binary_pq, microns_per_px=0.25, thresholds=THRESHOLDS, values=(0.1, 0.2))
    # Three thresholds, then another depth at the best of them.
    assert [point.rule.threshold for point in tuned.table] == [0.5, 0.3, 0.7, 0.3]
    for rule, score, count in tuned.table:
        slow = [
            binary_pq(truth, find_nuclei(level, maps, rule, microns_per_px=0.25))
            for level, maps, truth in patches
        ]
        assert (score, count) == (pytest.approx(np.mean(slow)), 3)
    best = max(tuned.table, key=lambda point: point.score)
    assert tuned.rule == best.rule
    assert tuned.rule.threshold == 0.3
    assert tuned.table[0].rule == RULE
    score = tuned.table[0].score
    assert tuned.rows()[0] == {
        "threshold": 0.5, "head": "distance", "depth": 0.2, "smallest_um2": 0.0, "score": score, "patches": 3,
    }  # fmt: skip


def test_sizes_and_other_decoders_are_tried_as_if_each_were_the_rule(patches):
    shape = NucleusRule(smallest_um2=0.0)
    tuned = tune(
        patches,
        RULE,
        binary_pq,
        microns_per_px=0.25,
        thresholds=(0.3,),
        values=(0.3,),
        smallest_um2=(1.0, 5.0),
        others=(shape,),
    )
    heads = [point.rule.parting.head for point in tuned.table]
    assert (heads.count("distance"), heads.count("none")) == (2 * 3 + 3, 2 * 3)
    for rule, score, _ in tuned.table:
        slow = [
            binary_pq(truth, find_nuclei(level, maps, rule, microns_per_px=0.25))
            for level, maps, truth in patches
        ]
        assert score == pytest.approx(np.mean(slow))
    assert len({score for _, score, _ in tuned.table}) > 4


def flat(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Likes every rule."""
    return 0.25


def unless_empty(truth: np.ndarray, predicted: np.ndarray) -> float | None:
    return None if not truth.any() else float(predicted.any())


def test_ties_go_to_the_given_rule_and_then_to_the_nearest(patches):
    given = dataclasses.replace(RULE, threshold=0.42)
    options = dict(microns_per_px=0.25, thresholds=THRESHOLDS, smallest_um2=(1.0, 5.0))
    tuned = tune(patches[:1], given, flat, **options)
    assert tuned.rule == given
    assert len(tuned.table) == 4 * 3 + 4 * 3
    assert len({point.rule for point in tuned.table}) == len(tuned.table)

    def dislikes_the_given(truth, predicted):
        return float(predicted.max() != find_nuclei(*patches[0][:2], given, microns_per_px=0.25).max())

    second = tune(patches[:1], given, dislikes_the_given, **options).rule
    nearest = [
        point.rule for point in tune(patches[:1], given, dislikes_the_given, **options).table if point.score
    ]
    assert second == nearest[0] != given


def test_patches_without_a_score_do_not_count(patches):
    empty = (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 1), np.int8), np.zeros((8, 8), np.int32))
    tuned = tune([empty, *patches], RULE, unless_empty, microns_per_px=0.25, thresholds=(), values=())
    assert [(point.score, point.patches) for point in tuned.table] == [(1.0, 3)]
    for nothing in ([], [empty]):
        with pytest.raises(UserError, match="no patch"):
            tune(nothing, RULE, unless_empty, microns_per_px=0.25)


def test_a_value_out_of_its_range_is_refused(patches):
    with pytest.raises(UserError, match="depth"):
        tune(patches, RULE, flat, microns_per_px=0.25, values=(2.0,))
