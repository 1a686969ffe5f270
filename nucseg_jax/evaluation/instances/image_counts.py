"""Counts of one image, from which every instance score follows: whole numbers, and sums of IoU.

Letters: T truth and P predicted nuclei; C classes, K = 1 + C columns: column 0 is any nucleus, column c class c.
"""

from typing import NamedTuple

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.evaluation.instances.aggregated_jaccard import (
    aggregated_jaccard,
    aggregated_jaccard_plus,
    ensemble_dice,
)
from nucseg_jax.evaluation.instances.detection import count_detections
from nucseg_jax.evaluation.instances.instance_map import InstanceMap
from nucseg_jax.evaluation.instances.overlap import Overlap, overlap
from nucseg_jax.evaluation.instances.panoptic import count_matches
from nucseg_jax.evaluation.instances.void import annotated_instances


class ImageCounts(NamedTuple):
    """The counts of one image, from `count_image`; the truth has `tp + fn` nuclei, the prediction `tp + fp`.

    Attributes:
      is_annotated: bool [], False where every pixel is void: such an image counts nowhere.
      tp, fp, fn: int64 [K], matches by IoU > 1/2; see `panoptic.PanopticCounts`.
      iou_sum: float64 [K], sum of the IoU of the matches.
      aji, aji_plus, dice2: int64 [2], numerator and denominator; see `aggregated_jaccard`.
      detection, detection_parity: int64 [K, 6], matches by centroids in both modes; see `detection.CELLS`.
    """

    is_annotated: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    iou_sum: np.ndarray
    aji: np.ndarray
    aji_plus: np.ndarray
    dice2: np.ndarray
    detection: np.ndarray
    detection_parity: np.ndarray


class ClassifiedPair(NamedTuple):
    """Truth and prediction of one image as they are scored, void pixels taken out.

    Attributes:
      truth, prediction: the nuclei.
      truth_class: int64 [T], 1..C; all 1 where C is 0.
      prediction_class: int64 [P], 1..C, 0 = none; all 1 where C is 0.
      pairs: their overlaps.
    """

    truth: InstanceMap
    prediction: InstanceMap
    truth_class: np.ndarray
    prediction_class: np.ndarray
    pairs: Overlap


def count_image(
    truth: np.ndarray,
    label: np.ndarray,
    prediction: np.ndarray,
    prediction_class: np.ndarray | None,
    *,
    num_classes: int,
    microns_per_px: float,
) -> ImageCounts:
    """Counts one image.

    Args:
      truth: integer [H, W], ids of the truth, 0 = background.
      label: uint8 [H, W], 0 = background, 1..C, `VOID_LABEL` = not annotated.
      prediction: integer [H, W], predicted ids, 0 = background.
      prediction_class: integer [K + 1], class of each predicted id; K is at least the largest id. 0 = none: such a
        nucleus counts as a nucleus, and in no class. None where C is 0.
      num_classes: C; 0 = nuclei without classes.
      microns_per_px: of the image; it sets the largest distance of a detection, 3 microns.

    Raises:
      UserError: arrays that do not belong together; see `classified_pair`.
    """
    scored = classified_pair(truth, label, prediction, prediction_class, num_classes=num_classes)
    matches = count_matches(scored.pairs, scored.truth_class, scored.prediction_class, num_classes)
    detections = count_detections(
        scored.truth,
        scored.truth_class,
        scored.prediction,
        scored.prediction_class,
        num_classes=num_classes,
        microns_per_px=microns_per_px,
    )
    return ImageCounts(
        is_annotated=np.array((label != VOID_LABEL).any()),
        **matches._asdict(),
        aji=np.array(aggregated_jaccard(scored.pairs), np.int64),
        aji_plus=np.array(aggregated_jaccard_plus(scored.pairs), np.int64),
        dice2=np.array(ensemble_dice(scored.pairs), np.int64),
        detection=detections["plain"],
        detection_parity=detections["parity"],
    )


def classified_pair(
    truth: np.ndarray,
    label: np.ndarray,
    prediction: np.ndarray,
    prediction_class: np.ndarray | None,
    *,
    num_classes: int,
) -> ClassifiedPair:
    """Computes what is scored of one image; arguments as of `count_image`.

    The class of a truth nucleus is that of most of its pixels, the lower one of two that tie; pixels with the label 0
    have no vote.

    Raises:
      UserError: shapes differ, a map is not one of ids, a label or a class is above C, a truth nucleus has no pixel
        with a class, or a predicted id has no class.
    """
    if label.dtype != np.uint8:
        raise UserError(f"the label is {label.dtype}", expected=f"uint8, 0..C and {VOID_LABEL}")
    true_map, predicted_map = annotated_instances(truth, label, prediction)
    if num_classes:
        truth_class = _truth_classes(true_map, label, num_classes)
        predicted_class = _predicted_classes(predicted_map, prediction_class, num_classes)
    else:
        truth_class = np.ones(true_map.nucleus_count, np.int64)
        predicted_class = np.ones(predicted_map.nucleus_count, np.int64)
    pairs = overlap(true_map, predicted_map)
    return ClassifiedPair(true_map, predicted_map, truth_class, predicted_class, pairs)


def _truth_classes(truth: InstanceMap, label: np.ndarray, num_classes: int) -> np.ndarray:
    is_wrong = (label > num_classes) & (label != VOID_LABEL)
    if is_wrong.any():
        raise UserError(
            f"the label holds the class {int(label[is_wrong][0])}", expected=f"0..{num_classes}, {VOID_LABEL}"
        )
    # Void pixels are in no nucleus; the column 0 is background.
    votes = truth.votes(label, VOID_LABEL)[:, 1 : num_classes + 1]
    if unclassified := int(np.count_nonzero(~votes.any(axis=1))):
        raise UserError(
            f"{counted(unclassified, 'nucleus')} of the truth have the label 0 in all pixels",
            expected=f"a class 1..{num_classes}",
            advice="give the instance map and the label map of the same patch",
        )
    winner: np.ndarray = 1 + votes.argmax(axis=1)
    return winner


def _predicted_classes(prediction: InstanceMap, class_of: np.ndarray | None, num_classes: int) -> np.ndarray:
    if class_of is None or class_of.ndim != 1 or class_of.dtype.kind not in "iu":
        found = "missing" if class_of is None else f"{class_of.dtype} {list(class_of.shape)}"
        raise UserError(
            f"the classes of predicted nuclei are {found}", expected="integers [K + 1], one for each id 0..K"
        )
    largest = int(prediction.ids.max(initial=0))
    if largest >= len(class_of):
        raise UserError(
            f"the predicted id {largest} has no class: there are {counted(len(class_of), 'class')}",
            expected="a class for each id from 0 to the largest",
        )
    classes: np.ndarray = class_of[prediction.ids].astype(np.int64)
    if len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) <= num_classes:
        wrong = int(classes.max()) if int(classes.max()) > num_classes else int(classes.min())
        raise UserError(f"a predicted nucleus has the class {wrong}", expected=f"0..{num_classes}, 0 = none")
    return classes
