"""The definition of a nucleus, chosen on the validation split of a run."""

from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.evaluation.examples import spread_positions
from nucseg_jax.evaluation.instances.binary_quality import binary_panoptic_quality
from nucseg_jax.evaluation.step import EvaluationStep, placed_batches
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.tuning import ScoredPatch, Tuned, tune
from nucseg_jax.heads.decoding.worker_count import worker_count

# Each patch is decoded by every rule of the grid.
PATCHES = 100
# From HoVer-Net's 10 px at .25 microns per pixel to the size below which no whole nucleus is.
SMALLEST_UM2 = (0.625, 2.5, 5.0)
# CPU time to score a patch by all rules that are tried: .23 s, distance, 30 patches of MoNuSeg, 2026-11-30; hover takes
# longer (`python -m benchmarks.parallel_decoding --data=FILE --patches=30 --heads distance --work tune`).
_SECONDS_A_PIXEL = 0.3 / 256**2


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

    Parting by shape is tried too, so that the maps of a head that has learned little do no harm. On at most `PATCHES`
    patches, spread evenly; the same weights and patches give the same rule. Where none of them
    has a nucleus it is the default one, with an empty table: the end of a training must not fail for that. Idle cores
    share the work; the rule does not depend on them.

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

    return tune(
        patches(),
        rule,
        binary_panoptic_quality,
        microns_per_px=data.info.microns_per_px,
        smallest_um2=SMALLEST_UM2,
        others=(NucleusRule(),) if rule.parting.maps else (),
        workers=worker_count(truth.size * _SECONDS_A_PIXEL),
    )
