"""Instance metrics beside two libraries, on random maps and on real nuclei moved a bit.

Where the definitions differ:
  cellseg-metrics  adds 1e-8 to the denominators of IoU, DQ, SQ, AJI and Dice2, where the PanNuke code adds 1e-6 to that
                   of SQ alone. It is 0 where either side has no nucleus. Its AJI pairs each truth nucleus with the
                   prediction of the largest intersection, with several if they tie; ours, as Kumar et al., with that of
                   the largest IoU. The two are compared where these are the same predictions.
  stardist         matches from IoU 0.5 on, ours above it: its threshold is set to the next larger float32, which its
                   IoU is. Its panoptic quality has no 1e-6.
"""

import numpy as np
import pytest

from nucseg_jax.evaluation.instances.aggregated_jaccard import aggregated_jaccard, ensemble_dice
from nucseg_jax.evaluation.instances.instance_map import instance_map
from nucseg_jax.evaluation.instances.overlap import Overlap, overlap
from nucseg_jax.evaluation.instances.panoptic import (
    SQ_EPSILON,
    PanopticCounts,
    count_matches,
    panoptic_quality,
)
from tests.evaluation.instances.random_maps import random_image

pytestmark = pytest.mark.parity

ABOVE_HALF = float(np.nextafter(np.float32(0.5), np.float32(1)))


@pytest.fixture(scope="module")
def cellseg():
    return pytest.importorskip("cellseg_metrics", reason="cellseg-metrics is not installed (extra parity)")


@pytest.fixture(scope="module")
def stardist():
    return pytest.importorskip("stardist.matching", reason="stardist is not installed (extra parity)")


@pytest.fixture(scope="module")
def real_maps(shared) -> list[tuple[np.ndarray, np.ndarray]]:
    """Nuclei of real patches; the prediction is moved by 0 to 3 px and lacks some."""
    rng = np.random.default_rng(0)
    with np.load(shared / "data" / "monuseg_folds.npz") as patches:
        truths = patches["instance"][::27]
    moved = [np.roll(truth, rng.integers(0, 4, 2), axis=(0, 1)) for truth in truths]
    return [
        (a, np.where(rng.random(int(b.max()) + 1)[b] < 0.1, 0, b)) for a, b in zip(truths, moved, strict=True)
    ]


@pytest.fixture(scope="module")
def maps(real_maps) -> list[tuple[np.ndarray, np.ndarray]]:
    """With nuclei on both sides."""
    images = [random_image(seed) for seed in range(100)]
    drawn = [(image.truth, image.prediction) for image in images]
    return [*real_maps, *(pair for pair in drawn if pair[0].any() and pair[1].any())]


def counted(truth: np.ndarray, prediction: np.ndarray) -> tuple[Overlap, PanopticCounts]:
    a, b = instance_map(truth), instance_map(prediction)
    pairs = overlap(a, b)
    return pairs, count_matches(pairs, np.ones(a.nucleus_count), np.ones(b.nucleus_count), 0)


def test_panoptic_quality_of_cellseg_metrics(cellseg, maps):
    for pair in maps:
        _, counts = counted(*pair)
        ours, theirs = panoptic_quality(*counts), cellseg.panoptic_quality(*pair)
        assert theirs["dq"] == pytest.approx(ours.dq[0], abs=1e-8)
        # Their epsilon in place of ours.
        sq = ours.sq[0] * (counts.tp[0] + SQ_EPSILON) / (counts.tp[0] + 1e-8)
        assert theirs["sq"] == pytest.approx(sq, abs=1e-8)


def test_dice2_of_cellseg_metrics(cellseg, maps):
    for pair in maps:
        ratio = ensemble_dice(counted(*pair)[0])
        assert cellseg.dice2(*pair) == pytest.approx(ratio.numerator / (ratio.denominator or 1), abs=1e-8)


def test_aji_of_cellseg_metrics(cellseg, maps):
    """On most maps both choose the same predictions; on the others ours has the larger IoU, theirs the intersection."""
    same = 0
    for pair in maps:
        pairs = counted(*pair)[0]
        best_iou, best_px = np.zeros(len(pairs.truth_px)), np.zeros(len(pairs.truth_px), np.int64)
        np.maximum.at(best_iou, pairs.truth, pairs.iou)
        np.maximum.at(best_px, pairs.truth, pairs.intersection_px)
        by_iou, by_px = pairs.iou == best_iou[pairs.truth], pairs.intersection_px == best_px[pairs.truth]
        if np.array_equal(by_iou, by_px) and np.bincount(pairs.truth[by_px], minlength=1).max() <= 1:
            ratio = aggregated_jaccard(pairs)
            assert cellseg.aggregated_jaccard_index(*pair) == pytest.approx(
                ratio.numerator / ratio.denominator, abs=1e-8
            )
            same += 1
    assert same > len(maps) / 2


def test_matches_of_stardist(stardist, maps):
    for pair in maps:
        pairs, counts = counted(*pair)
        theirs = stardist.matching(
            *(ids.astype(np.int64) for ids in pair), thresh=ABOVE_HALF, report_matches=True
        )
        assert (theirs.tp, theirs.fp, theirs.fn) == (counts.tp[0], counts.fp[0], counts.fn[0])
        a, b = (instance_map(ids) for ids in pair)
        is_match = pairs.is_match
        ours = set(zip(a.ids[pairs.truth[is_match]], b.ids[pairs.prediction[is_match]], strict=True))
        assert {theirs.matched_pairs[number] for number in theirs.matched_tps} == ours
        quality = panoptic_quality(*counts)
        without_epsilon = quality.pq[0] * (1 + SQ_EPSILON / max(counts.tp[0], 1))
        assert theirs.panoptic_quality == pytest.approx(without_epsilon, abs=1e-6)
        assert theirs.f1 == pytest.approx(quality.dq[0], abs=1e-15)


def test_an_iou_of_half_is_a_match_for_stardist_alone(stardist, cellseg):
    truth, half = np.array([[1, 1, 0]]), np.array([[1, 0, 0]])
    assert stardist.matching(truth, half).tp == 1
    assert stardist.matching(truth, half, thresh=ABOVE_HALF).tp == 0
    assert cellseg.panoptic_quality(truth, half)["dq"] == 0
    assert counted(truth, half)[1].tp[0] == 0
