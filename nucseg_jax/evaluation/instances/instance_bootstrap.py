"""Binary panoptic quality (bPQ) under resampling of patches: the statistic that intervals of nuclei are made from.

Letters as in `evaluation/bootstrap.py`: N patches, S runs, B resamples; G groups.

The averages are those of `instance_scores`, each computed again from the patches of a resample: over groups it is the
mean of the groups of which a patch with nuclei was drawn, so that a group of very few patches is missing from some.
"""

from collections.abc import Sequence

import numpy as np

from nucseg_jax.evaluation.bootstrap import Statistic
from nucseg_jax.evaluation.instances.image_counts import ImageCounts
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.instances.instance_metrics import GROUP, IMAGE, POOLED, quality, truth_nuclei
from nucseg_jax.evaluation.instances.panoptic import panoptic_quality

# In the order of rows; the first is the one that papers quote.
AVERAGES = (GROUP, IMAGE, POOLED)


def annotated_images(counts: InstanceCounts) -> InstanceCounts:
    """Returns the counts of the images with an annotated pixel, the only ones that a resample may draw."""
    kept = counts.images.is_annotated
    images = ImageCounts(*(field[kept] for field in counts.images))
    return InstanceCounts(counts.index[kept], counts.group[kept], images)


def quality_statistic(runs: Sequence[InstanceCounts]) -> Statistic:
    """Returns a statistic of one configuration: bPQ in each of `AVERAGES`, mean over its runs.

    Args:
      runs: S counts of the same N images, all annotated.

    Returns:
      A function of weights, float64 [B, N], how often each patch is drawn, to float64 [3, B]; NaN where undefined.
    """
    statistics = [_of_run(counts) for counts in runs]

    def mean_over_runs(weights: np.ndarray) -> np.ndarray:
        scores: np.ndarray = np.mean([statistic(weights) for statistic in statistics], axis=0)
        return scores

    return mean_over_runs


def _of_run(counts: InstanceCounts) -> Statistic:
    images = counts.images
    has_truth = truth_nuclei(images)[:, 0] > 0
    pq = np.where(has_truth, quality(images).pq[:, 0], 0.0)
    is_of_group = (has_truth[:, None] & (counts.group[:, None] == np.unique(counts.group))).astype(np.float64)
    cells = [field[:, 0] for field in (images.tp, images.fp, images.fn, images.iou_sum)]
    # One product with the weights gives all sums of a resample.
    G = is_of_group.shape[1]
    summands = np.column_stack([pq[:, None] * is_of_group, is_of_group, *cells])

    def averages(weights: np.ndarray) -> np.ndarray:
        sums = weights @ summands
        pq_sums, patches = sums[:, :G], sums[:, G : 2 * G]
        with np.errstate(invalid="ignore"):
            by_image = pq_sums.sum(axis=1) / patches.sum(axis=1)
            by_group = (pq_sums / np.maximum(patches, 1)).sum(axis=1) / (patches > 0).sum(axis=1)
        pooled = panoptic_quality(*sums[:, 2 * G :].T).pq
        return np.stack([by_group, by_image, pooled])

    return averages
