"""Panoptic quality: matches of one image counted, and the ratios of such counts.

    DQ = TP / (TP + FP/2 + FN/2)      SQ = sum of IoU of the matches / (TP + 1e-6)      PQ = DQ * SQ

(Kirillov et al., arXiv:1801.00868, eq. 2; the 1e-6 is that of the PanNuke evaluation code, arXiv:2003.10778: a perfect
nucleus has 0.999999.) A pair matches if its IoU exceeds 1/2; exactly 1/2 does not.

Letters: C classes, K = 1 + C: column 0 is any nucleus, column c the nuclei of class c alone. A pair whose classes
differ matches in column 0, and in the columns of the classes it is one FN and one FP.
"""

import math
from typing import NamedTuple

import numpy as np

from nucseg_jax.evaluation.instances.overlap import Overlap

SQ_EPSILON = 1e-6


class PanopticCounts(NamedTuple):
    """Matches of one image.

    Attributes:
      tp, fp, fn: int64 [K], matched pairs, unmatched predictions, unmatched truth nuclei.
      iou_sum: float64 [K], sum of the IoU of the matched pairs, rounded once.
    """

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    iou_sum: np.ndarray


class PanopticQuality(NamedTuple):
    """Detection, segmentation and panoptic quality, float64 [...] each; NaN where TP, FP and FN are all 0."""

    dq: np.ndarray
    sq: np.ndarray
    pq: np.ndarray


def count_matches(
    pairs: Overlap, truth_class: np.ndarray, prediction_class: np.ndarray, num_classes: int
) -> PanopticCounts:
    """Counts the matches of an image.

    Args:
      pairs: of the two maps.
      truth_class: integer [T], 1..C; ignored where C is 0.
      prediction_class: integer [P], 1..C, 0 = none: such a nucleus counts in column 0 alone; ignored where C is 0.
      num_classes: C.
    """
    is_match = pairs.is_match
    of_truth, of_prediction = truth_class[pairs.truth[is_match]], prediction_class[pairs.prediction[is_match]]
    iou = pairs.iou[is_match]
    tp, truths, predictions, iou_sum = [len(iou)], [len(truth_class)], [len(prediction_class)], [fsum(iou)]
    for number in range(1, num_classes + 1):
        is_own = (of_truth == number) & (of_prediction == number)
        tp.append(int(np.count_nonzero(is_own)))
        truths.append(int(np.count_nonzero(truth_class == number)))
        predictions.append(int(np.count_nonzero(prediction_class == number)))
        iou_sum.append(fsum(iou[is_own]))
    found = np.array(tp, np.int64)
    return PanopticCounts(found, np.array(predictions) - found, np.array(truths) - found, np.array(iou_sum))


def panoptic_quality(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, iou_sum: np.ndarray) -> PanopticQuality:
    """Computes DQ, SQ and PQ of counts, [...] each.

    >>> perfect = panoptic_quality(np.array(1), np.array(0), np.array(0), np.array(1.0))
    >>> float(perfect.dq), round(float(perfect.sq), 6)
    (1.0, 0.999999)
    """
    with np.errstate(invalid="ignore"):
        dq = np.asarray(tp / (tp + 0.5 * fp + 0.5 * fn), np.float64)
    sq = np.where(np.isnan(dq), np.nan, iou_sum / (tp + SQ_EPSILON))
    return PanopticQuality(dq, sq, dq * sq)


def fsum(values: np.ndarray) -> float:
    """Adds up floats [...], rounded once: their order does not matter."""
    return math.fsum(values.reshape(-1).tolist())
