"""Detection and classification of nuclei by their centroids (Graham et al., HoVer-Net, arXiv:1812.06499).

Truth and predicted centroids are paired one to one by the assignment of the smallest sum of distances; pairs farther
apart than 3 microns, 12 px at 0.25 microns, are taken apart again. Counted are, for any nucleus and for each class c:

    tp   pairs; of a class: both nuclei are of c            fp_unpaired   predictions (of c) in no pair
    tn   pairs of which neither is of c                     fn_unpaired   truth nuclei (of c) in no pair
    fp   pairs of which the prediction alone is of c
    fn   pairs of which the truth alone is of c

    F_d = 2 tp / (2 tp + fp_unpaired + fn_unpaired)                                      detection F1, any nucleus
    F_c = 2 (tp + tn) / (2 (tp + tn) + 2 fp + 2 fn + fp_unpaired + fn_unpaired)          F1 of class c

Two modes:
    plain   F_c as printed above. Pairs of other classes count as right: of a rare class it comes near 1.
    parity  as the published code, with whose tables it can be compared: its tn is always 0, since it looks only at
            pairs one of which is of c; and a side of an image without a nucleus has one without a class at the
            position (0, 0), which may pair. Images with nuclei on both sides differ in tn alone.
"""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from nucseg_jax.evaluation.instances.instance_map import InstanceMap

RADIUS_MICRONS = 3.0
CELLS = ("tp", "tn", "fp", "fn", "fp_unpaired", "fn_unpaired")
Mode: TypeAlias = Literal["plain", "parity"]


class CentroidPairs(NamedTuple):
    """Pairs of centroids, R of them.

    Attributes:
      truth, prediction: int64 [R], positions of the two nuclei.
      distance_px: float64 [R].
    """

    truth: np.ndarray
    prediction: np.ndarray
    distance_px: np.ndarray


def radius_px(microns_per_px: float) -> float:
    """Returns the largest distance of a pair, in pixels.

    >>> radius_px(0.25), radius_px(0.5)
    (12.0, 6.0)
    """
    return RADIUS_MICRONS / microns_per_px


def pair_centroids(truth: np.ndarray, prediction: np.ndarray, *, radius_px: float) -> CentroidPairs:
    """Pairs centroids.

    Args:
      truth: float64 [T, 2], (row, column) in pixels.
      prediction: float64 [P, 2].
      radius_px: the largest distance of a pair, itself included.
    """
    distance = cdist(truth, prediction)
    row, column = linear_sum_assignment(distance)
    is_near = distance[row, column] <= radius_px
    row, column = row[is_near], column[is_near]
    return CentroidPairs(row, column, distance[row, column])


def count_detections(
    truth: InstanceMap,
    truth_class: np.ndarray,
    prediction: InstanceMap,
    prediction_class: np.ndarray,
    *,
    num_classes: int,
    microns_per_px: float,
) -> dict[Mode, np.ndarray]:
    """Counts the detections of one image in both modes.

    Args:
      truth, prediction: T and P nuclei.
      truth_class: integer [T], 1..C; ignored where C is 0.
      prediction_class: integer [P], 1..C, 0 = none; ignored where C is 0.
      num_classes: C.
      microns_per_px: of the image.

    Returns:
      {mode: int64 [1 + C, 6]}, rows any nucleus and each class, columns `CELLS`.
    """
    radius = radius_px(microns_per_px)
    at_truth, at_prediction = truth.centroids(), prediction.centroids()
    pairs = pair_centroids(at_truth, at_prediction, radius_px=radius)
    plain = _count(pairs, truth_class, prediction_class, num_classes)
    if truth.nucleus_count and prediction.nucleus_count:
        parity = plain.copy()
    else:
        at_truth, truth_class = _or_placeholder(at_truth, truth_class)
        at_prediction, prediction_class = _or_placeholder(at_prediction, prediction_class)
        pairs = pair_centroids(at_truth, at_prediction, radius_px=radius)
        parity = _count(pairs, truth_class, prediction_class, num_classes)
    parity[:, CELLS.index("tn")] = 0
    return {"plain": plain, "parity": parity}


def detection_f1(cells: np.ndarray) -> np.ndarray:
    """Computes F_d and F_c: integer [..., 6] -> float64 [...], NaN where truth and prediction have no such nucleus."""
    tp, tn, fp, fn, fp_unpaired, fn_unpaired = np.moveaxis(cells.astype(np.int64), -1, 0)
    wrong = 2 * fp + 2 * fn + fp_unpaired + fn_unpaired
    right = np.where(tp + wrong > 0, 2 * (tp + tn), 0)
    with np.errstate(invalid="ignore"):
        return np.asarray(right / (right + wrong), np.float64)


def _or_placeholder(centroids: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a nucleus without a class at (0, 0) where there is none."""
    return (centroids, classes) if len(centroids) else (np.zeros((1, 2)), np.zeros(1, np.int64))


def _count(
    pairs: CentroidPairs, truth_class: np.ndarray, prediction_class: np.ndarray, num_classes: int
) -> np.ndarray:
    """Returns int64 [1 + C, 6]."""
    R = len(pairs.truth)
    cells = [[R, 0, 0, 0, len(prediction_class) - R, len(truth_class) - R]]
    of_truth, of_prediction = truth_class[pairs.truth], prediction_class[pairs.prediction]
    for number in range(1, num_classes + 1):
        is_truth, is_prediction = of_truth == number, of_prediction == number
        both, truths, predictions = (
            int(np.count_nonzero(each)) for each in (is_truth & is_prediction, is_truth, is_prediction)
        )
        all_truths, all_predictions = (
            int(np.count_nonzero(each == number)) for each in (truth_class, prediction_class)
        )
        neither = R - truths - predictions + both
        paired = [both, neither, predictions - both, truths - both]
        cells.append([*paired, all_predictions - predictions, all_truths - truths])
    return np.array(cells, np.int64)
