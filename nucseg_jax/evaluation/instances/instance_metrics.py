"""The instance metrics: each is a function of summed counts, of one image or of a whole split.

A metric is computed of R rows of counts, `ImageCounts` with an axis R in front, and of a column: 0 is any nucleus, c
class c. A row is one image, or all images of a split added up. Values are float64 [R], NaN standing for 0/0.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from nucseg_jax.evaluation.instances.detection import CELLS, detection_f1
from nucseg_jax.evaluation.instances.image_counts import ImageCounts
from nucseg_jax.evaluation.instances.panoptic import PanopticQuality, fsum, panoptic_quality
from nucseg_jax.evaluation.scores import divide

# The average over groups has the data set's word for a group as its key, such as 'tissue'.
GROUP, IMAGE, POOLED = "group", "image", "pooled"
_ALL = (GROUP, IMAGE, POOLED)
# Rows and a column -> values.
Value: TypeAlias = Callable[[ImageCounts, int], np.ndarray]


class InstanceMetric(NamedTuple):
    """A row of `METRICS` or `CLASS_METRICS`.

    Attributes:
      title: the metric in words.
      meaning: its definition in a sentence.
      value: of rows of counts and a column; where `is_of_images`, one value [1] of all images of a split.
      averages: those of `GROUP`, `IMAGE` and `POOLED` that it has.
      is_of_images: the pooled value needs the images apart, not their sum.
    """

    title: str
    meaning: str
    value: Value
    averages: tuple[str, ...] = _ALL
    is_of_images: bool = False


def truth_nuclei(counts: ImageCounts) -> np.ndarray:
    """Returns the count of truth nuclei, int64 [R, K]."""
    nuclei: np.ndarray = counts.tp + counts.fn
    return nuclei


def predicted_nuclei(counts: ImageCounts) -> np.ndarray:
    """Returns the count of predicted nuclei, int64 [R, K]."""
    nuclei: np.ndarray = counts.tp + counts.fp
    return nuclei


def total(counts: ImageCounts) -> ImageCounts:
    """Adds up N images: one row [1, ...]; sums of IoU are rounded once."""
    summed = ImageCounts(*(field.sum(axis=0, keepdims=True) for field in counts))
    return summed._replace(iou_sum=np.array([[fsum(column) for column in counts.iou_sum.T]]))


def quality(counts: ImageCounts) -> PanopticQuality:
    """Computes DQ, SQ and PQ of all columns, [R, K]."""
    return panoptic_quality(counts.tp, counts.fp, counts.fn, counts.iou_sum)


def _mean_class_pq_with_truth(counts: ImageCounts, _: int) -> np.ndarray:
    pq = np.where(truth_nuclei(counts) > 0, quality(counts).pq, np.nan)
    return _mean_of_defined(pq[:, 1:])


def _mean_class_pq(counts: ImageCounts, _: int) -> np.ndarray:
    return _mean_of_defined(quality(counts).pq[:, 1:])


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    return divide(np.nansum(values, axis=1), np.isfinite(values).sum(axis=1))


def _detection_share(unpaired: str) -> Value:
    """Returns tp / (tp + those of one side in no pair)."""

    def share(counts: ImageCounts, column: int) -> np.ndarray:
        cells = counts.detection[:, column]
        tp = cells[:, CELLS.index("tp")]
        return divide(tp, tp + cells[:, CELLS.index(unpaired)])

    return share


def _count_r2(images: ImageCounts, column: int) -> np.ndarray:
    truth = [int(count) for count in truth_nuclei(images)[:, column]]
    predicted = [int(count) for count in predicted_nuclei(images)[:, column]]
    # Both sums of squares times N, in whole numbers; divided once.
    spread = len(truth) * sum(count * count for count in truth) - sum(truth) ** 2
    error = len(truth) * sum((t - p) ** 2 for t, p in zip(truth, predicted, strict=True))
    return np.array([(spread - error) / spread if spread else np.nan])


def _dice2(counts: ImageCounts, _: int) -> np.ndarray:
    # Truth of which nothing is overlapped is not left out of means: it is worth 0.
    is_missed = (truth_nuclei(counts)[:, 0] > 0) & (counts.dice2[:, 1] == 0)
    return np.where(is_missed, 0.0, divide(*counts.dice2.T))


_DQ = InstanceMetric("DQ", "TP / (TP + FP/2 + FN/2), IoU > 1/2", lambda n, column: quality(n).dq[:, column])
_SQ = InstanceMetric(
    "SQ", "sum of IoU of the matches / (TP + 1e-6)", lambda n, column: quality(n).sq[:, column]
)
_COUNT_R2 = InstanceMetric(
    "R2 of counts",
    "1 - squared errors of the count of nuclei per image / squared deviations of the true count from its mean",
    _count_r2,
    (POOLED,),
    is_of_images=True,
)
# Of any nucleus, but for mpq and mpq_plus.
METRICS: Mapping[str, InstanceMetric] = {
    "bpq": InstanceMetric(
        "bPQ", "DQ x SQ of nuclei of any class", lambda n, column: quality(n).pq[:, column]
    ),
    "dq": _DQ,
    "sq": _SQ,
    "mpq": InstanceMetric(
        "mPQ",
        "mean of an image's class PQs, classes without truth left out",
        _mean_class_pq_with_truth,
        (GROUP, IMAGE),
    ),
    "mpq_plus": InstanceMetric(
        "mPQ+", "mean of class PQs, each from counts pooled over the split", _mean_class_pq, (POOLED,)
    ),
    "aji": InstanceMetric(
        "AJI",
        "intersections / unions, the best prediction for each truth nucleus",
        lambda n, _: divide(*n.aji.T),
    ),
    "aji_plus": InstanceMetric(
        "AJI+", "intersections / unions, nuclei paired one to one", lambda n, _: divide(*n.aji_plus.T)
    ),
    "dice2": InstanceMetric(
        "Dice2",
        "2 x intersections / areas, of all overlapping pairs; 0 where none of the truth is overlapped",
        _dice2,
    ),
    "detection_f1": InstanceMetric(
        "detection F1",
        "2TP / (2TP + FP + FN), centroids within 3 microns",
        lambda n, column: detection_f1(n.detection[:, column]),
    ),
    "detection_precision": InstanceMetric(
        "detection precision", "TP / (TP + FP), centroids within 3 microns", _detection_share("fp_unpaired")
    ),
    "detection_recall": InstanceMetric(
        "detection recall", "TP / (TP + FN), centroids within 3 microns", _detection_share("fn_unpaired")
    ),
    "detection_f1_parity": InstanceMetric(
        "detection F1, as HoVer-Net's code",
        "as detection F1, a side of an image without a nucleus having one at (0, 0)",
        lambda n, column: detection_f1(n.detection_parity[:, column]),
        (POOLED,),
    ),
    "count_r2": _COUNT_R2,
}
# Of one class.
CLASS_METRICS: Mapping[str, InstanceMetric] = {
    "pq": InstanceMetric("PQ", "DQ x SQ of nuclei of the class", lambda n, column: quality(n).pq[:, column]),
    "dq": _DQ,
    "sq": _SQ,
    "class_f1_plain": InstanceMetric(
        "class F1, as printed",
        "2(TP + TN) / (2(TP + TN) + 2FP + 2FN + FP_d + FN_d) of detections, TN being pairs of other classes",
        lambda n, column: detection_f1(n.detection[:, column]),
        (POOLED,),
    ),
    "class_f1_parity": InstanceMetric(
        "class F1, as HoVer-Net's code",
        "as printed but without TN, a side of an image without a nucleus having one without a class at (0, 0)",
        lambda n, column: detection_f1(n.detection_parity[:, column]),
        (POOLED,),
    ),
    "count_r2": _COUNT_R2,
}
