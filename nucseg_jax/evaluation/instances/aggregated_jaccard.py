"""AJI, AJI+ and Dice2 of one image, as numerator and denominator in whole pixels.

    AJI    each truth nucleus is paired with the prediction of the largest IoU; one prediction may serve several.
           Sum of intersections / (sum of unions + truth nuclei without an overlap + predictions never paired)
           (Kumar et al., IEEE TMI 2017, algorithm 1).
    AJI+   the same with pairs one to one, by the assignment of the largest sum of IoU (the code published with
           HoVer-Net, Graham et al., arXiv:1812.06499).
    Dice2  sum of 2|A and B| / sum of (|A| + |B|) over all pairs that overlap (Vu et al., arXiv:1810.13230).

An image without a nucleus in truth and prediction has 0/0 in all three; Dice2 has 0/0 wherever nothing overlaps.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from nucseg_jax.evaluation.instances.overlap import Overlap


class PixelRatio(NamedTuple):
    """A ratio of whole pixels; 0/0 is undefined."""

    numerator: int
    denominator: int


def aggregated_jaccard(pairs: Overlap) -> PixelRatio:
    """Computes AJI; of several predictions with the largest IoU, the one of the largest intersection is paired.

    Where that ties too, the nucleus whose first pixel comes first.
    """
    # Sorted so that the best pair of each truth nucleus comes first.
    order = np.lexsort((pairs.prediction, -pairs.intersection_px, -pairs.iou, pairs.truth))
    _, first = np.unique(pairs.truth[order], return_index=True)
    return _ratio(pairs, order[first])


def aggregated_jaccard_plus(pairs: Overlap) -> PixelRatio:
    """Computes AJI+."""
    iou = np.zeros((len(pairs.truth_px), len(pairs.prediction_px)))
    iou[pairs.truth, pairs.prediction] = pairs.iou
    row_of, column_of = linear_sum_assignment(iou, maximize=True)
    paired: np.ndarray = np.full(len(pairs.truth_px), -1)
    paired[row_of] = column_of
    return _ratio(pairs, np.flatnonzero(paired[pairs.truth] == pairs.prediction))


def ensemble_dice(pairs: Overlap) -> PixelRatio:
    """Computes Dice2."""
    total = pairs.truth_px[pairs.truth].sum() + pairs.prediction_px[pairs.prediction].sum()
    return PixelRatio(2 * int(pairs.intersection_px.sum()), int(total))


def _ratio(pairs: Overlap, chosen: np.ndarray) -> PixelRatio:
    """Divides the intersections of the chosen pairs by their unions and by all that is in none of them."""
    lone_truth: np.ndarray = np.ones(len(pairs.truth_px), bool)
    lone_prediction: np.ndarray = np.ones(len(pairs.prediction_px), bool)
    lone_truth[pairs.truth[chosen]] = False
    lone_prediction[pairs.prediction[chosen]] = False
    lone = pairs.truth_px[lone_truth].sum() + pairs.prediction_px[lone_prediction].sum()
    return PixelRatio(int(pairs.intersection_px[chosen].sum()), int(pairs.union_px[chosen].sum()) + int(lone))
