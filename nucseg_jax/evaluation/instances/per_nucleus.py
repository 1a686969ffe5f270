"""A table of nuclei: a line for each matched pair, each missed truth nucleus and each false positive of a split.

    index,truth_id,prediction_id,truth_class,predicted_class,iou,centroid_distance_px
    0,1,4,Neoplastic,Neoplastic,0.823529,1.414214
    0,2,,Dead,,,
    0,,7,,Inflammatory,,

A pair matches by IoU > 1/2, whatever its classes are, as in `panoptic`. Ids are those of the two maps; void pixels are
taken out first, and a nucleus that does not count (see `void`) has no line. Of an image the pairs come first, then the
missed nuclei, then the false positives, each in the order of first pixels. What a line lacks is an empty cell.
"""

import csv
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nucseg_jax.core.files import atomic_write
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.instances.image_counts import ClassifiedPair

COLUMNS = (
    "index",
    "truth_id",
    "prediction_id",
    "truth_class",
    "predicted_class",
    "iou",
    "centroid_distance_px",
)


def nucleus_columns(
    index: int, scored: ClassifiedPair, info: DatasetInfo
) -> dict[str, list[int | float | str]]:
    """Computes the lines of one image.

    Args:
      index: position of the image in the split's index list.
      scored: from `image_counts.classified_pair`.
      info: of the data set, which names the classes; without classes, theirs are empty cells.

    Returns:
      {column: a value a line}, by `COLUMNS`; '' where there is none.
    """
    pairs, is_match = scored.pairs, scored.pairs.is_match
    truth, prediction = pairs.truth[is_match], pairs.prediction[is_match]
    missed = np.setdiff1d(np.arange(scored.truth.nucleus_count), truth)
    false = np.setdiff1d(np.arange(scored.prediction.nucleus_count), prediction)
    offset = scored.truth.centroids()[truth] - scored.prediction.centroids()[prediction]
    names = ["", *info.class_names] if info.classes else ["", ""]
    of_truth, of_prediction = np.concatenate([truth, missed]), np.concatenate([prediction, false])
    no_truth, no_prediction = [""] * len(false), [""] * len(missed)
    predicted_ids = scored.prediction.ids[of_prediction].tolist()
    predicted_classes = [names[number] for number in scored.prediction_class[of_prediction]]
    unmatched = [""] * (len(missed) + len(false))
    R = len(truth)
    return {
        "index": [index] * (R + len(unmatched)),
        "truth_id": [*scored.truth.ids[of_truth].tolist(), *no_truth],
        "prediction_id": [*predicted_ids[:R], *no_prediction, *predicted_ids[R:]],
        "truth_class": [*(names[number] for number in scored.truth_class[of_truth]), *no_truth],
        "predicted_class": [*predicted_classes[:R], *no_prediction, *predicted_classes[R:]],
        "iou": [*pairs.iou[is_match].tolist(), *unmatched],
        "centroid_distance_px": [*np.hypot(*offset.T).tolist(), *unmatched],
    }


def write_per_nucleus(
    path: pathlib.Path, images: Iterable[Mapping[str, Sequence[int | float | str]]]
) -> None:
    """Writes the lines of images, from `nucleus_columns`, as CSV in one step; ratios and distances to six decimals."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for columns in images:
            for line in zip(*(columns[name] for name in COLUMNS), strict=True):
                writer.writerow(f"{cell:.6f}" if isinstance(cell, float) else cell for cell in line)
