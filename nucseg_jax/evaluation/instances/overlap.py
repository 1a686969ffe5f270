"""The overlaps of two instance maps of one image: computed once, all instance metrics follow from them.

Letters: T truth nuclei, P predicted nuclei, M pairs of the two that share a pixel. All sizes are whole numbers of
pixels; ratios are taken last, and comparisons with 1/2 are made between whole numbers.
"""

from typing import NamedTuple

import numpy as np

from nucseg_jax.evaluation.instances.instance_map import InstanceMap

# Products T * P up to this multiple of the pixel count are counted in a table; larger ones are sorted.
_TABLE_SHARE = 4


class Overlap(NamedTuple):
    """The pairs that share a pixel, sorted by truth nucleus, then by predicted nucleus.

    Attributes:
      truth_px: int64 [T], pixels of each truth nucleus.
      prediction_px: int64 [P], pixels of each predicted nucleus.
      truth: int64 [M], position 0..T-1 of the truth nucleus of each pair.
      prediction: int64 [M], position 0..P-1 of its predicted nucleus.
      intersection_px: int64 [M], pixels of both, at least 1.
    """

    truth_px: np.ndarray
    prediction_px: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    intersection_px: np.ndarray

    @property
    def union_px(self) -> np.ndarray:
        """Pixels of either nucleus of each pair, int64 [M]."""
        union: np.ndarray = (
            self.truth_px[self.truth] + self.prediction_px[self.prediction] - self.intersection_px
        )
        return union

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each pair, float64 [M], rounded once.

        Unions below 2^26 px keep the exact order: unequal ratios are unequal floats, and equal ratios equal floats.
        """
        iou: np.ndarray = self.intersection_px / self.union_px
        return iou

    @property
    def is_match(self) -> np.ndarray:
        """True for each pair whose IoU exceeds 1/2, bool [M]; compared in whole numbers, so 1/2 itself is no match.

        No nucleus is in two such pairs (Kirillov et al., Panoptic Segmentation, arXiv:1801.00868, section 4.1).
        """
        is_match: np.ndarray = 2 * self.intersection_px > self.union_px
        return is_match


def overlap(truth: InstanceMap, prediction: InstanceMap) -> Overlap:
    """Computes the overlaps of two maps of equal shape.

    >>> from nucseg_jax.evaluation.instances.instance_map import instance_map
    >>> pairs = overlap(instance_map(np.array([[7, 7, 8]])), instance_map(np.array([[5, 6, 6]])))
    >>> pairs.truth.tolist(), pairs.prediction.tolist(), pairs.iou.tolist()
    ([0, 0, 1], [0, 1, 1], [0.5, 0.3333333333333333, 0.5])
    """
    of_truth, of_prediction = truth.number.reshape(-1), prediction.number.reshape(-1)
    P = prediction.nucleus_count
    pixel = np.flatnonzero((of_truth > 0) & (of_prediction > 0))
    code = (of_truth[pixel].astype(np.int64) - 1) * P + (of_prediction[pixel] - 1)
    if truth.nucleus_count * P <= _TABLE_SHARE * len(of_truth):
        table = np.bincount(code, minlength=truth.nucleus_count * P)
        pair = np.flatnonzero(table)
        intersection = table[pair]
    else:
        pair, intersection = np.unique(code, return_counts=True)
    return Overlap(
        truth_px=truth.area_px,
        prediction_px=prediction.area_px,
        truth=pair // max(P, 1),
        prediction=pair % max(P, 1),
        intersection_px=intersection.astype(np.int64),
    )
