"""The score that a rule for nuclei is tuned by; imports no JAX, so that worker processes start quickly."""

import numpy as np

from nucseg_jax.evaluation.instances.instance_map import instance_map
from nucseg_jax.evaluation.instances.overlap import overlap
from nucseg_jax.evaluation.instances.panoptic import count_matches, panoptic_quality


def binary_panoptic_quality(truth: np.ndarray, prediction: np.ndarray) -> float | None:
    """Computes the panoptic quality of the nuclei of one patch, whatever their classes.

    Args:
      truth, prediction: ids, integer [H, W], 0 = background.

    Returns:
      0..1; None where the truth has no nucleus.
    """
    true_map, predicted_map = instance_map(truth, "truth"), instance_map(prediction, "prediction")
    if not true_map.nucleus_count:
        return None
    of_truth, of_prediction = (np.ones(each.nucleus_count, np.int64) for each in (true_map, predicted_map))
    counts = count_matches(overlap(true_map, predicted_map), of_truth, of_prediction, 0)
    _, _, quality = panoptic_quality(counts.tp, counts.fp, counts.fn, counts.iou_sum)
    return float(quality[0])
