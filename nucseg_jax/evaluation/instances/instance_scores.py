"""Instance scores of a split: the entry "instances" of results.json, from the counts of its images.

    {"instances": {
      "tissue":  {"bpq": 0.66, "dq": ..., "sq": ..., "mpq": ..., "aji": ..., "images": 2609, "groups": 19},
      "image":   {"bpq": 0.65, ..., "images": 2609},
      "pooled":  {"bpq": 0.67, ..., "mpq_plus": ..., "detection_f1": ..., "count_r2": ..., "images": 2722},
      "classes": {"Neoplastic": {"tissue": {"pq": ...}, "image": {"pq": ...}, "pooled": {"pq": ..., "count_r2": ...}}},
      "patches": {"total": 2722, "annotated": 2722, "empty_truth": 113, "empty_prediction": 90, "both_empty": 80},
      "nuclei": {"truth": 66654, "predicted": 65020}}}

Three averages; each names itself, and holds how many images it is of:
    image   mean over the images whose truth has a nucleus (of the class); the others are left out, so that false
            positives in them cost nothing, as in the PanNuke evaluation code. PanNuke's table of classes is this.
    group   mean of `image` over the images of a group, then mean over groups; its key is the data set's word for a
            group, 'tissue' in PanNuke, where it is the bPQ and mPQ that papers quote (then averaged over three splits)
    pooled  counts of all images are added up first; false positives in images without a nucleus count
An image without an annotated pixel is in none of them. The detection precision is also left out of `image` and `group`
where nothing was predicted. 0/0 is undefined: left out of every mean, and None where nothing is left. Nothing is NaN.
"""

from collections.abc import Mapping

import numpy as np

from nucseg_jax.core.results import Entry, Scores
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.instances.image_counts import ImageCounts
from nucseg_jax.evaluation.instances.instance_metrics import (
    CLASS_METRICS,
    GROUP,
    IMAGE,
    METRICS,
    POOLED,
    InstanceMetric,
    predicted_nuclei,
    total,
    truth_nuclei,
)
from nucseg_jax.evaluation.scores import mean_of_defined

# Of nuclei without classes, these have no value.
_OF_CLASSES = ("mpq", "mpq_plus")


def averages(info: DatasetInfo) -> tuple[str, ...]:
    """Names of the averages of a data set, in the order of results.json."""
    return (info.group_noun, IMAGE, POOLED)


def instance_scores(images: ImageCounts, group: np.ndarray, info: DatasetInfo) -> Entry:
    """Computes all instance scores of a split.

    Args:
      images: [N, ...] in the order of the split, K columns.
      group: integer [N], of each image.
      info: of the data set, which names classes and the average over groups.

    Returns:
      {"instances": ...} as at the head of this file; "classes", `mpq` and `mpq_plus` only with classes.

    Raises:
      UserError: the columns are neither nucleus alone nor nucleus and every class of the data set.
    """
    K = images.tp.shape[1]
    info.require_num_classes(K)
    kept = images.is_annotated
    scored, groups = ImageCounts(*(field[kept] for field in images)), group[kept]
    rows = {name: metric for name, metric in METRICS.items() if K > 1 or name not in _OF_CLASSES}
    result: Entry = {**_averages(rows, scored, groups, 0, info.group_noun)}
    if K > 1:
        result["classes"] = {
            name: _averages(CLASS_METRICS, scored, groups, column, info.group_noun)
            for column, name in enumerate(info.class_names, start=1)
        }
    has_truth, has_prediction = truth_nuclei(scored)[:, 0] > 0, predicted_nuclei(scored)[:, 0] > 0
    result["patches"] = {
        "total": len(group),
        "annotated": len(groups),
        "empty_truth": int(np.count_nonzero(~has_truth)),
        "empty_prediction": int(np.count_nonzero(~has_prediction)),
        "both_empty": int(np.count_nonzero(~has_truth & ~has_prediction)),
    }
    result["nuclei"] = {
        "truth": int(truth_nuclei(scored)[:, 0].sum()),
        "predicted": int(predicted_nuclei(scored)[:, 0].sum()),
    }
    return {"instances": result}


def _averages(
    metrics: Mapping[str, InstanceMetric],
    images: ImageCounts,
    group: np.ndarray,
    column: int,
    group_noun: str,
) -> dict[str, Scores]:
    """Computes the three averages of one column."""
    has_truth = truth_nuclei(images)[:, column] > 0
    own, own_group = ImageCounts(*(field[has_truth] for field in images)), group[has_truth]
    by_image: Scores = {}
    by_group: Scores = {}
    pooled: Scores = {}
    summed = total(images)
    for name, metric in metrics.items():
        if IMAGE in metric.averages:
            by_image[name] = mean_of_defined(metric.value(own, column))
        if GROUP in metric.averages:
            by_group[name] = _group_mean(metric.value(own, column), own_group)
        if POOLED in metric.averages:
            pooled[name] = mean_of_defined(metric.value(images if metric.is_of_images else summed, column))
    count = len(own_group)
    return {
        group_noun: {**by_group, "images": count, "groups": len(np.unique(own_group))},
        IMAGE: {**by_image, "images": count},
        POOLED: {**pooled, "images": len(group)},
    }


def _group_mean(values: np.ndarray, group: np.ndarray) -> float | None:
    means = [mean_of_defined(values[group == number]) for number in np.unique(group)]
    return mean_of_defined(np.array([np.nan if mean is None else mean for mean in means], np.float64))
