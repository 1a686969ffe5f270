"""A whole split's entry of results.json from a model's variables."""

import dataclasses
from typing import Any

import jax
from jax.sharding import Mesh

from nucseg_jax.data.batches import evaluation_batches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.evaluate import CountStep, evaluate


@dataclasses.dataclass(frozen=True)
class Scorer:
    """What scoring a split is bound to; make one and keep it, it holds compiled programs.

    Attributes:
      count_step: from `compile_count_step`.
      penalty: jitted, the model's parameters to the L2 penalty, float32 [].
      batch_size: whole patches a batch; no score depends on it (but with batch statistics).
      mesh: where it runs.
    """

    count_step: CountStep
    penalty: jax.stages.Wrapped
    batch_size: int
    mesh: Mesh

    def score(
        self, variables: dict[str, Any], data: PreparedData, split: str
    ) -> tuple[Counts, dict[str, Any]]:
        """Evaluates every patch of 'train', 'validation' or 'test' once.

        Returns:
          The counts of the split, and `{convention: {metric: value}, ..., 'loss', 'dice_loss', 'l2_penalty'}`:
          dice_loss is the mean over patches, loss its sum with the penalty (what Keras reports as the loss).
        """
        batches = evaluation_batches(data.patches, data.rows(split), batch_size=self.batch_size)
        counts = evaluate(self.count_step, variables, batches, self.mesh)
        penalty = float(self.penalty(variables["params"]))
        dice_loss = counts.mean_loss()
        return counts, {
            **counts.compute(),
            "loss": None if dice_loss is None else dice_loss + penalty,
            "dice_loss": dice_loss,
            "l2_penalty": penalty,
        }
