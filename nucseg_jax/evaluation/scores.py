"""Dice, IoU and other ratios of pixel counts, in every convention that papers use; numpy on the host.

Letters: N images in the order of the split's index list, K counted classes, 4 = (TP, FP, FN, TN).

Of one set of counts:
    dice                2TP / (2TP + FP + FN)       iou          TP / (TP + FP + FN)
    accuracy            (TP + TN) / all             sensitivity  TP / (TP + FN)
    precision           TP / (TP + FP)              specificity  TN / (TN + FP)
    iou_two_class_mean  mean of iou and of the background's TN / (TN + FP + FN)
The paper's Eq. 1 prints Dice as 2TP / (TP + FP + FN), which exceeds 1; the formula above is meant.

Conventions, from one set to a split:
    micro       counts pooled over the split
    image_zero  mean over images; where the truth has no such pixel, Dice and IoU are 0
    image_skip  mean over images; where the truth has no such pixel, the image is left out of every metric
    image_one   mean over images; where the truth has no such pixel, Dice and IoU are 1 if the prediction has
                none either, else 0
    batch8      counts pooled per 8 consecutive images (the last group holds what is left), mean over groups
    group       mean of image_skip over the images of a group, then mean over groups; its key is the data set's word
                for a group, 'tissue' in PanNuke

An image without an annotated pixel, all four counts 0, is left out of all conventions.
0/0 is undefined: left out of every mean, the two-class mean included, and None where nothing is left. Only
Dice and IoU under `image_zero` and `image_one` have a value there, by their rule; the two-class mean then
takes that IoU. Nothing is ever NaN.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from nucseg_jax.core.results import Entry, Scores
from nucseg_jax.data.dataset_info import DatasetInfo

# False positives [N] of images whose truth is empty -> their Dice and IoU [N].
EmptyTruthRule = Callable[[np.ndarray], np.ndarray]


class Cells(NamedTuple):
    """Counts by cell, int64 [...] each, and the rule for overlaps of sets whose truth is empty.

    Attributes:
      tp, fp, fn, tn: true positives, false positives, false negatives, true negatives.
      empty_truth: gives Dice and IoU where `tp + fn` is 0; None = they follow from the formula.
    """

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray
    empty_truth: EmptyTruthRule | None = None

    def overlap(self, value: np.ndarray) -> np.ndarray:
        """Returns an overlap, Dice or IoU, with the rule applied."""
        if self.empty_truth is None:
            return value
        return np.where(self.tp + self.fn == 0, self.empty_truth(self.fp), value)


class Metric(NamedTuple):
    """A row of `METRICS`.

    Attributes:
      title: the metric in words.
      ratio: of counts, float64 [...], NaN standing for 0/0.
    """

    title: str
    ratio: Callable[[Cells], np.ndarray]


def _dice(n: Cells) -> np.ndarray:
    return n.overlap(divide(2 * n.tp, 2 * n.tp + n.fp + n.fn))


def _iou(n: Cells) -> np.ndarray:
    return n.overlap(divide(n.tp, n.tp + n.fp + n.fn))


def _iou_two_class_mean(n: Cells) -> np.ndarray:
    both = np.stack([_iou(n), divide(n.tn, n.tn + n.fp + n.fn)])
    return divide(np.nansum(both, axis=0), np.isfinite(both).sum(axis=0))


METRICS: Mapping[str, Metric] = {
    "dice": Metric("Dice", _dice),
    "iou": Metric("IoU", _iou),
    "accuracy": Metric("accuracy", lambda n: divide(n.tp + n.tn, n.tp + n.fp + n.fn + n.tn)),
    "sensitivity": Metric("sensitivity", lambda n: divide(n.tp, n.tp + n.fn)),
    "precision": Metric("precision", lambda n: divide(n.tp, n.tp + n.fp)),
    "specificity": Metric("specificity", lambda n: divide(n.tn, n.tn + n.fp)),
    "iou_two_class_mean": Metric("IoU, mean of two classes", _iou_two_class_mean),
}
# Of every data set; `conventions` adds the one over groups.
UNGROUPED = ("micro", "image_zero", "image_skip", "image_one", "batch8")
IMAGES_PER_GROUP = 8
# Titles of `baselines.BASELINES`.
BASELINE_TITLES = {"otsu_hematoxylin": "Otsu's threshold", "all_foreground": "everything as nucleus"}
# Keys of a split's entry whose value is an entry like it, computed with other batch-norm statistics.
OTHER_STATISTICS = {
    "moving_statistics": "moving statistics",
    "reestimated_statistics": "re-estimated statistics",
    "batch_statistics": "each batch's statistics",
}


def conventions(info: DatasetInfo) -> tuple[str, ...]:
    """Names of the conventions of a data set, in the order of results.json; the last averages over its groups."""
    return (*UNGROUPED, info.group_noun)


def is_loss(key: str) -> bool:
    """Returns True if a key of a split's entry is the loss, a term of it, its mean with nuclei, or the L2 penalty."""
    return key.endswith(("loss", "_with_nuclei")) or key == "l2_penalty"


def split_scores(counts: np.ndarray, group: np.ndarray, info: DatasetInfo) -> Entry:
    """Computes all conventions of a split, from the counts of its images.

    Args:
      counts: integer [N, K, 4], of the whole split; counted class 0 is nucleus against background.
      group: integer [N], of each image.
      info: of the data set, which names classes and the convention over groups.

    Returns:
      {convention: {metric: float or None}} for nucleus against background, by `conventions` and `METRICS`;
      `batch8` also holds `{metric}_std`, the standard deviation over the groups (ddof = 0: the groups are the
      whole split, not a sample of it). For K > 1 also `classes`: {class name: the same}, each against all the
      rest, "empty" then meaning without a pixel of that class.

    Raises:
      UserError: the counted classes are neither nucleus alone nor nucleus and every class of the data set.
    """
    info.require_num_classes(counts.shape[1])
    cells: np.ndarray = counts.astype(np.int64)
    noun = info.group_noun
    result: Entry = {**class_scores(cells[:, 0], group, group_noun=noun)}
    if cells.shape[1] > 1:
        result["classes"] = {
            name: class_scores(cells[:, number], group, group_noun=noun)
            for number, name in enumerate(info.class_names, start=1)
        }
    return result


def class_scores(counts: np.ndarray, group: np.ndarray, *, group_noun: str) -> dict[str, Scores]:
    """Computes all conventions of one class.

    Args:
      counts: int64 [N, 4].
      group: integer [N], of each image.
      group_noun: key of the convention over groups.

    Returns:
      {convention: {metric: value}}.
    """
    is_annotated = counts.any(axis=1)
    counts, group = counts[is_annotated], group[is_annotated]
    return {
        "micro": _means(ratios(counts.sum(axis=0, keepdims=True))),
        "image_zero": _means(ratios(counts, empty_truth=lambda false_positives: 0.0 * false_positives)),
        "image_skip": _image_skip(counts),
        "image_one": _means(ratios(counts, empty_truth=lambda false_positives: 1.0 * (false_positives == 0))),
        "batch8": _batch8(counts),
        group_noun: _group(counts, group),
    }


def ratios(counts: np.ndarray, *, empty_truth: EmptyTruthRule | None = None) -> dict[str, np.ndarray]:
    """Computes every metric of every row: integer [..., 4] -> {metric: float64 [...]}, NaN standing for 0/0.

    `empty_truth` gives Dice and IoU to rows without a true pixel; without it they follow from the formula.
    """
    tp, fp, fn, tn = np.moveaxis(counts.astype(np.int64), -1, 0)
    cells = Cells(tp, fp, fn, tn, empty_truth)
    return {name: metric.ratio(cells) for name, metric in METRICS.items()}


def _image_skip(counts: np.ndarray) -> Scores:
    has_truth = counts[:, 0] + counts[:, 2] > 0
    return _means(ratios(counts[has_truth]))


def _batch8(counts: np.ndarray) -> Scores:
    starts = np.arange(0, len(counts), IMAGES_PER_GROUP)
    groups = ratios(np.add.reduceat(counts, starts, axis=0))
    return _means(groups) | {f"{metric}_std": _deviation(values) for metric, values in groups.items()}


def _group(counts: np.ndarray, group: np.ndarray) -> Scores:
    by_group = [_image_skip(counts[group == number]) for number in np.unique(group)]
    return {
        metric: mean_of_defined(np.array([values[metric] for values in by_group], np.float64))
        for metric in METRICS
    }


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divides, with NaN for 0/0."""
    with np.errstate(invalid="ignore"):
        return np.asarray(numerator, np.float64) / np.asarray(denominator, np.float64)


def _means(values: dict[str, np.ndarray]) -> Scores:
    return {metric: mean_of_defined(of_rows) for metric, of_rows in values.items()}


def mean_of_defined(values: np.ndarray) -> float | None:
    """Averages the values that are not NaN; None where there is none."""
    # fsum rounds once, so that the last digit does not depend on the machine's vector width.
    defined = values[~np.isnan(values)].tolist()
    return math.fsum(defined) / len(defined) if defined else None


def _deviation(values: np.ndarray) -> float | None:
    mean = mean_of_defined(values)
    variance = mean_of_defined((values - mean) ** 2) if mean is not None else None
    return None if variance is None else math.sqrt(variance)
