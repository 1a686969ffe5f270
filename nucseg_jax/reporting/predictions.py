"""Sheets of a model's predictions beside the truth."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.core.vocabulary import TISSUES
from nucseg_jax.data.batches import evaluation_batches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.reporting.overlays import prediction_sheet
from nucseg_jax.training.mesh import put_batch


@dataclasses.dataclass(frozen=True)
class Drawer:
    """What drawing is bound to; make one and keep it, it holds a compiled program.

    Attributes:
      prediction_step: from `compile_prediction_step`.
      patches: how many to draw, 0 = none.
      batch_size: of the forward pass.
      mesh: where it runs.
    """

    prediction_step: jax.stages.Wrapped
    patches: int
    batch_size: int
    mesh: Mesh

    def draw(self, variables: dict[str, Any], data: PreparedData, split: str) -> np.ndarray | None:
        """Draws patches spread evenly over a split: uint8 [H, W, 3], or None where there is nothing to draw."""
        rows = data.rows(split)
        if not self.patches or not len(rows):
            return None
        positions = np.unique(np.linspace(0, len(rows) - 1, min(self.patches, len(rows))).round().astype(int))
        chosen = rows[positions]
        probabilities, masks = [], []
        for batch in evaluation_batches(data.patches, chosen, batch_size=self.batch_size):
            probability, mask = jax.device_get(self.prediction_step(variables, put_batch(batch, self.mesh)))
            probabilities.append(probability[batch.valid])
            masks.append(mask[batch.valid])
        patches = data.patches.take(chosen)
        captions = [
            f"fold {fold}, patch {index}, {TISSUES[tissue]}"
            for fold, index, tissue in zip(patches.fold, patches.index, patches.tissue, strict=True)
        ]
        return prediction_sheet(
            patches.image,
            patches.label > 0,
            np.concatenate(probabilities),
            np.concatenate(masks),
            captions,
        )
