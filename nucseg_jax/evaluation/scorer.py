"""A whole split's entry of results.json from a model's variables."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.core.counted import counted
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.evaluate import EvaluationStep, evaluate, placed_batches
from nucseg_jax.evaluation.progress import with_bar
from nucseg_jax.evaluation.scores import scores
from nucseg_jax.ops.objective import WITH_NUCLEI, Objective
from nucseg_jax.ops.probability import FOREGROUND_RULE


class Scored(NamedTuple):
    """A split as a model sees it.

    Attributes:
      counts: of every patch.
      levels: int64 [256, 2], pixels by predicted probability; see `evaluation.calibration`.
      result: the split's entry of results.json: {convention: {metric: value}}, every term of the objective (mean
        over patches, without its weight; of ratios such as Dice the mean over patches with nuclei too),
        `l2_penalty`, and `loss`, the objective with the penalty (what Keras reports as the loss), None where a
        patch's loss is not finite; and `foreground_rule`, in words, what the mask is that was scored (scores before
        this entry took the largest logit of several classes).
    """

    counts: Counts
    levels: np.ndarray
    result: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Scorer:
    """What scoring a split is bound to; make one and keep it, it holds compiled programs.

    Attributes:
      step: from `compile_evaluation_step`.
      objective: the one that `step` computes the terms of.
      penalty: jitted, the model's parameters to the L2 penalty, float32 [].
      batch_size: whole patches a batch; no score depends on it (but with batch statistics).
      mesh: where it runs.
    """

    step: EvaluationStep
    objective: Objective
    penalty: jax.stages.Wrapped
    batch_size: int
    mesh: Mesh

    def score(self, variables: dict[str, Any], data: PreparedData, split: str, *, bar: str = "") -> Scored:
        """Evaluates every patch of 'train', 'validation' or 'test' once; `bar` is the text of a progress bar."""
        rows = data.rows(split)
        batches = placed_batches(data.patches, rows, batch_size=self.batch_size, mesh=self.mesh)
        total = -(-len(rows) // self.batch_size)
        counts, levels = evaluate(self.step, variables, with_bar(batches, bar, total))
        if undefined := undefined_images(counts):
            print(
                f"{undefined:,} of the {counted(len(counts.index), 'patch')} of {split}: what the model gives is not a"
                " number. They are scored as background, and the loss is undefined.",
                flush=True,
            )
        penalty = float(self.penalty(variables["params"]))
        # A split without patches has no losses.
        losses = dict.fromkeys(self.objective.terms) | counts.mean_losses()
        is_finite = all(loss is not None for loss in losses.values())
        # Without an image that has a nucleus there is no such mean.
        with_nuclei = dict.fromkeys(self.objective.terms) | counts.mean_losses_with_nuclei()
        minimised = {
            name: with_nuclei[name] or 0.0 if term.skips_empty else losses[name]
            for name, term in self.objective.terms.items()
        }
        result = {
            **scores(counts, data.info),
            "loss": self.objective.total(minimised) + penalty if is_finite else None,
            **losses,
            "l2_penalty": penalty,
            **{f"{name}{WITH_NUCLEI}": with_nuclei[name] for name in self.objective.ratios},
            "foreground_rule": FOREGROUND_RULE,
        }
        return Scored(counts, levels, result)


def undefined_images(counts: Counts) -> int:
    """Counts the images with a loss that is NaN, as it is where a logit is; such a pixel counts as background."""
    losses = np.array(list(counts.losses.values())).reshape(-1, len(counts.index))
    return int(np.isnan(losses).any(axis=0).sum())
