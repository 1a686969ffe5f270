"""Sheets of a model's predictions beside the truth."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.core.vocabulary import TISSUES
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.feed import evaluation_batches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.reporting.overlays import prediction_sheet
from nucseg_jax.training.mesh import put_batch

ProbabilityStep = Callable[[dict[str, Any], Batch], jax.Array]


def draw_predictions(
    probability_step: ProbabilityStep,
    variables: dict[str, Any],
    data: PreparedData,
    split: str,
    *,
    patches: int,
    batch_size: int,
    mesh: Mesh,
) -> np.ndarray | None:
    """Draws patches spread evenly over a split.

    Args:
      probability_step: from `compile_probability_step`.
      variables: the model's.
      data: the patches.
      split: 'train', 'validation' or 'test'.
      patches: how many.
      batch_size: of the forward pass.
      mesh: where it runs.

    Returns:
      uint8 [H, W, 3], or None where there is nothing to draw.
    """
    rows = data.rows(split)
    if not patches or not len(rows):
        return None
    positions = np.unique(np.linspace(0, len(rows) - 1, min(patches, len(rows))).round().astype(int))
    chosen = rows[positions]
    probabilities = []
    for batch in evaluation_batches(data.patches, chosen, batch_size=batch_size):
        probability = jax.device_get(probability_step(variables, put_batch(batch, mesh)))
        probabilities.append(probability[batch.valid])
    captions = [
        f"fold {data.patches.fold[row]}, patch {data.patches.index[row]}, {TISSUES[data.patches.tissue[row]]}"
        for row in chosen
    ]
    return prediction_sheet(
        data.patches.image[chosen], data.patches.label[chosen] > 0, np.concatenate(probabilities), captions
    )
