"""All that is looked at in a model: scores, scores with batch statistics, pictures."""

import dataclasses
from typing import Any

import jax
import numpy as np

from nucseg_jax.data.batches import training_batches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.evaluation.batch_norm import reestimate_batch_statistics
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.scorer import Scorer
from nucseg_jax.reporting.predictions import Drawer


@dataclasses.dataclass(frozen=True)
class Reestimation:
    """How batch-norm statistics are estimated anew: one pass over the training tiles, shuffled, not augmented.

    Attributes:
      statistics_step: from `compile_statistics_step`.
      tile_px, batch_size, seed: as in training.
    """

    statistics_step: jax.stages.Wrapped
    tile_px: int
    batch_size: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """What evaluation is bound to; make one and keep it, it holds compiled programs.

    Attributes:
      scorer: with moving statistics.
      batch_scorer: with the statistics of the batch at hand; None = not wanted.
      reestimation: None = the moving statistics are used as they are.
      drawer: of pictures.
    """

    scorer: Scorer
    batch_scorer: Scorer | None
    reestimation: Reestimation | None
    drawer: Drawer

    def prepare(
        self, variables: dict[str, Any], data: PreparedData, training_rows: np.ndarray
    ) -> dict[str, Any]:
        """The variables to evaluate: the same, or with statistics estimated anew on rows of `data.patches`."""
        estimate = self.reestimation
        if estimate is None:
            return variables
        batches = training_batches(
            data.patches,
            training_rows,
            tile_px=estimate.tile_px,
            batch_size=estimate.batch_size,
            seed=estimate.seed,
            epoch=0,
        )
        return reestimate_batch_statistics(estimate.statistics_step, variables, batches, self.scorer.mesh)

    def score(
        self, variables: dict[str, Any], data: PreparedData, split: str
    ) -> tuple[Counts, dict[str, Any]]:
        """Counts of a split and its entry of results.json.

        Where the config asks for it the entry has `batch_statistics` as well: the same entry computed with
        the statistics of each evaluation batch, which is what the model trains with.
        """
        counts, result = self.scorer.score(variables, data, split)
        if self.batch_scorer is not None:
            _, result["batch_statistics"] = self.batch_scorer.score(variables, data, split)
        return counts, result

    def draw(self, variables: dict[str, Any], data: PreparedData, split: str) -> np.ndarray | None:
        """A sheet of predictions, uint8 [H, W, 3], or None where there is nothing to draw."""
        return self.drawer.draw(variables, data, split)
