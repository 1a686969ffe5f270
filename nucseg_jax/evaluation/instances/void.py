"""Pixels that nobody annotated (label 255): they count nowhere.

The rule of Kirillov et al. (Panoptic Segmentation, arXiv:1801.00868, section 4.2), for all instance metrics alike:
  1. Void pixels are taken out of both maps, before any size, intersection or centroid is computed.
  2. A predicted nucleus of which more than half lay in void is dropped, unless what is left of it matches a truth
     nucleus (IoU > 1/2): whether it is right, nobody knows. One that matches stays, or the truth nucleus at the edge of
     the void would count as missed although it was found.
Exactly half in void is not more than half. A truth nucleus wholly in void is none.
"""

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.evaluation.instances.instance_map import InstanceMap, instance_map
from nucseg_jax.evaluation.instances.overlap import overlap


def annotated_instances(
    truth: np.ndarray, label: np.ndarray, prediction: np.ndarray
) -> tuple[InstanceMap, InstanceMap]:
    """Returns both maps of an image as far as it is annotated, in canonical form.

    Args:
      truth: integer [H, W], ids, 0 = background.
      label: uint8 [H, W], `VOID_LABEL` = not annotated.
      prediction: integer [H, W], ids, 0 = background.

    Raises:
      UserError: the shapes differ, or a map is not one of ids.
    """
    if not truth.shape == label.shape == prediction.shape:
        shapes = ", ".join(str(list(each.shape)) for each in (truth, label, prediction))
        raise UserError(
            f"truth, label and prediction have the shapes {shapes}", expected="one shape [H, W] for all three"
        )
    is_void = label == VOID_LABEL
    whole = instance_map(prediction, "the predicted instance map")
    if not is_void.any():
        return instance_map(truth, "the instance map of the truth"), whole
    annotated_truth = instance_map(np.where(is_void, 0, truth), "the instance map of the truth")
    seen = instance_map(np.where(is_void, 0, whole.number))
    pairs = overlap(annotated_truth, seen)
    is_matched: np.ndarray = np.zeros(seen.nucleus_count, bool)
    is_matched[pairs.prediction[pairs.is_match]] = True
    # The ids of `seen` are the numbers of `whole`.
    mostly_void = 2 * seen.area_px < whole.area_px[seen.ids - 1]
    named = seen._replace(ids=whole.ids[seen.ids - 1])
    return annotated_truth, named.keep(is_matched | ~mostly_void)
