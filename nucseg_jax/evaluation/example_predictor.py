"""A model's predictions on a few patches, as examples to keep."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Variables
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.data.void import annotated_px, nucleus_px
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.example_nuclei import ExampleNuclei, nuclei_of_patch, stacked
from nucseg_jax.evaluation.examples import (
    BEST,
    SPREAD,
    WORST,
    Examples,
    ranked_positions,
    spread_positions,
)
from nucseg_jax.evaluation.instances.nucleus_scorer import NucleusScorer
from nucseg_jax.evaluation.step import EvaluationStep, placed_batches
from nucseg_jax.heads.decoding.band import Band


@dataclasses.dataclass(frozen=True)
class ExamplePredictor:
    """Predicts example patches; reuse it, it caches a compiled function.

    Attributes:
      step: from `compile_evaluation_step`.
      patches: how many to draw, 0 = none; half as many are the best and the worst.
      batch_size: of the forward pass.
      mesh: where it runs.
      scorer: finds nuclei; None = they are not drawn. The patches must have instance ids.
    """

    step: EvaluationStep
    patches: int
    batch_size: int
    mesh: Mesh
    scorer: NucleusScorer | None = None

    def spread(self, variables: Variables, data: PreparedData, split: str) -> Examples:
        """Predictions on patches spread evenly over a split."""
        positions = spread_positions(len(data.rows(split)), self.patches)
        return self._predict(variables, data, split, {SPREAD: positions})

    def examples(self, variables: Variables, data: PreparedData, split: str, counts: Counts) -> Examples:
        """Those of `spread`, and the best and the worst by the counts of the whole split."""
        best, worst = ranked_positions(counts, self.patches // 2)
        spread = spread_positions(len(data.rows(split)), self.patches)
        return self._predict(variables, data, split, {SPREAD: spread, BEST: best, WORST: worst})

    def _predict(
        self, variables: Variables, data: PreparedData, split: str, chosen: dict[str, np.ndarray]
    ) -> Examples:
        positions = np.concatenate(list(chosen.values()))
        rows = data.rows(split)[positions]
        seen = []
        bands: list[Band] = []
        for batch in placed_batches(data.patches, rows, batch_size=self.batch_size, mesh=self.mesh):
            evaluated = self.step(variables, batch)
            valid, level, nucleus = jax.device_get((evaluated.valid, evaluated.level, evaluated.nucleus))
            seen.append((level[valid], nucleus[valid]))
            if self.scorer is not None:
                band = jax.device_get(evaluated).band()
                arrays = {name: values[valid] for name, values in band.present()}
                bands += [
                    Band(**{name: values[number] for name, values in arrays.items()})
                    for number in range(int(valid.sum()))
                ]
        patches = data.patches.take(rows)
        valid_px = annotated_px(patches.label, has_void=data.info.has_void)
        prediction = np.concatenate([nucleus for _, nucleus in seen])
        index = data.dataset.index
        at = index.positions(np.stack([patches.fold, patches.index], axis=1))
        return Examples(
            position=positions.astype(np.int32),
            fold=patches.fold.astype(np.int32),
            row=patches.index.astype(np.int32),
            group=patches.group.astype(np.int32),
            chosen=np.concatenate([np.repeat(name, len(of_name)) for name, of_name in chosen.items()]),
            source=np.array([index.image[position] for position in at], np.str_),
            top=index.top[at].astype(np.int32),
            left=index.left[at].astype(np.int32),
            image=patches.image,
            truth=nucleus_px(patches.label, valid_px),
            # Where nobody annotated nothing is right or wrong, and neither scores nor colours say so.
            prediction=prediction if valid_px is None else prediction & valid_px,
            probability=np.concatenate([level for level, _ in seen]),
            void=np.zeros_like(prediction) if valid_px is None else ~valid_px,
            nuclei=None if self.scorer is None else _nuclei(self.scorer, bands, patches),
        )


def _nuclei(scorer: NucleusScorer, bands: Sequence[Band], patches: Patches) -> ExampleNuclei | None:
    """Returns the nuclei of the patches, annotated and as found in the bands; None without a patch."""
    assert patches.instance is not None
    found = [
        nuclei_of_patch(truth, label, *scorer.find(band), num_classes=scorer.num_classes)
        for truth, label, band in zip(patches.instance, patches.label, bands, strict=True)
    ]
    return stacked(found) if found else None
