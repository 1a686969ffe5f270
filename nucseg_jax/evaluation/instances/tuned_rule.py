"""The definition of a nucleus, chosen on the validation split of a run with an instance head."""

from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.evaluation.examples import spread_positions
from nucseg_jax.evaluation.instances.instance_map import instance_map
from nucseg_jax.evaluation.instances.overlap import overlap
from nucseg_jax.evaluation.instances.panoptic import count_matches, panoptic_quality
from nucseg_jax.evaluation.step import EvaluationStep, placed_batches
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.tuning import ScoredPatch, Tuned, tune

# Each patch is decoded by every rule of the grid, a third of a second at 256 px.
PATCHES = 100


def tune_rule(
    step: EvaluationStep,
    variables: Variables,
    data: PreparedData,
    rule: NucleusRule,
    *,
    batch_size: int,
    mesh: Mesh,
) -> Tuned:
    """Finds the rule with the best mean binary panoptic quality on patches of the validation split.

    On at most `PATCHES` of them, spread evenly; the same weights and patches give the same rule. Where none of them
    has a nucleus it is the default one, with an empty table: the end of a training must not fail for that.

    Args:
      step: from `compile_evaluation_step`.
      variables: of the model.
      data: with instance ids.
      rule: the default, which is tried first.
      batch_size: whole patches a batch; the rule does not depend on it.
      mesh: where the model runs.
    """
    rows = data.rows("validation")
    chosen = rows[spread_positions(len(rows), min(PATCHES, len(rows)))]
    truth = data.patches.take(chosen).instance
    if truth is None or not truth.any():
        return Tuned(rule, [])

    def patches() -> Iterator[ScoredPatch]:
        for batch in placed_batches(data.patches, chosen, batch_size=batch_size, mesh=mesh):
            seen = jax.device_get(step(variables, batch))
            for position in np.flatnonzero(seen.valid):
                valid_px = True if seen.valid_px is None else seen.valid_px[position]
                maps = None if seen.maps is None else seen.maps[position]
                # What is predicted where nobody annotated is neither right nor wrong.
                yield np.where(valid_px, seen.level[position], 0), maps, seen.instance[position]

    return tune(patches(), rule, binary_panoptic_quality, microns_per_px=data.info.microns_per_px)


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
