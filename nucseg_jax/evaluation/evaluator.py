"""Scores of a model, with the batch-norm statistics that the config asks for."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.config.evaluation import Comparison
from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.results import Entry
from nucseg_jax.data.batches import training_batches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.evaluation.batch_norm import reestimate_batch_statistics
from nucseg_jax.evaluation.instances.nucleus_scorer import NucleusScorer
from nucseg_jax.evaluation.progress import with_bar
from nucseg_jax.evaluation.split_scores import SplitScores, score_split
from nucseg_jax.evaluation.step import EvaluationStep
from nucseg_jax.ops.objective import Objective
from nucseg_jax.runtime.placement import held_examples, put_batch


@dataclasses.dataclass(frozen=True)
class Reestimation:
    """Parameters of re-estimating batch-norm statistics: one pass over the training tiles, shuffled, not augmented.

    Attributes:
      statistics_step: from `compile_statistics_step`.
      unbiased_variance: see `reestimate_batch_statistics`.
      tile_px, batch_size, seed: as in training.
    """

    statistics_step: jax.stages.Wrapped
    unbiased_variance: bool
    tile_px: int
    batch_size: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """Scores a model; reuse it, it caches compiled functions.

    Attributes:
      step: from `compile_evaluation_step`, with the statistics that the variables hold.
      batch_statistics_step: the same, with the statistics of the batch at hand.
      objective: the one that both steps compute the terms of.
      l2_penalty: jitted, the model's parameters to the L2 penalty, float32 [].
      batch_size: whole patches a batch.
      mesh: where it runs.
      reestimation: how statistics are estimated again.
      reestimates: whether they are before every evaluation; False = the moving ones are used as they are.
      compares: when scores with other statistics are computed too; see `EvalConfig.compare_statistics`.
    """

    step: EvaluationStep
    batch_statistics_step: EvaluationStep
    objective: Objective
    l2_penalty: jax.stages.Wrapped
    batch_size: int
    mesh: Mesh
    reestimation: Reestimation
    reestimates: bool
    compares: Comparison

    def validate(self, variables: Variables, data: PreparedData) -> Entry:
        """The validation split's entry at an epoch's end."""
        chosen = self.chosen_variables(variables, data, data.rows("train"))
        result = self._score(self.step, chosen, data, "validation").result
        if self.compares == "epochs":
            result["batch_statistics"] = self._score(
                self.batch_statistics_step, variables, data, "validation"
            ).result
        return result

    def chosen_variables(
        self, variables: Variables, data: PreparedData, training_rows: np.ndarray, *, bar: str = ""
    ) -> Variables:
        """Returns the variables that are scored: with statistics estimated again where the config asks for it.

        Args:
          variables, data, training_rows: as in `score`.
          bar: text of a progress bar; '' for none.
        """
        return self._reestimate(variables, data, training_rows, bar=bar) if self.reestimates else variables

    def score(
        self,
        variables: Variables,
        data: PreparedData,
        training_rows: np.ndarray,
        splits: Sequence[str],
        *,
        scorer: NucleusScorer | None = None,
    ) -> tuple[Variables, dict[str, SplitScores]]:
        """Scores splits as at the end of training.

        Where the config asks for it a split's entry has, each an entry like itself, `batch_statistics` (those of the
        evaluation batch at hand, which is what the model trains with) and `reestimated_statistics` or, if these are
        what is scored anyway, `moving_statistics`.

        Args:
          variables: of the model.
          data: has the patches of the splits.
          training_rows: what statistics are estimated on, in `data.patches`; not looked at without need.
          splits: some of 'train', 'validation', 'test'.
          scorer: finds and counts nuclei, with the statistics that are scored; None = they are not scored.

        Returns:
          The variables that were scored, and the splits by name.
        """
        other_name = "moving_statistics" if self.reestimates else "reestimated_statistics"
        chosen = other = variables
        if self.reestimates or self.compares != "never":
            reestimated = self._reestimate(variables, data, training_rows, bar="re-estimating statistics")
            chosen, other = (reestimated, variables) if self.reestimates else (variables, reestimated)
        scored = {}
        for name in splits:
            scored[name] = self._score(self.step, chosen, data, name, scorer=scorer, bar=f"scoring {name}")
            if self.compares != "never":
                with_batch = self._score(
                    self.batch_statistics_step, variables, data, name, bar=f"{name}, batch statistics"
                )
                with_other = self._score(self.step, other, data, name, bar=f"{name}, {other_name}")
                scored[name].result.update(
                    {"batch_statistics": with_batch.result, other_name: with_other.result}
                )
        return chosen, scored

    def _score(
        self,
        step: EvaluationStep,
        variables: Variables,
        data: PreparedData,
        split: str,
        *,
        scorer: NucleusScorer | None = None,
        bar: str = "",
    ) -> SplitScores:
        return score_split(
            step,
            variables,
            data,
            split,
            objective=self.objective,
            l2_penalty=float(self.l2_penalty(variables["params"])),
            batch_size=self.batch_size,
            mesh=self.mesh,
            scorer=scorer,
            bar=bar,
        )

    def _reestimate(
        self, variables: Variables, data: PreparedData, training_rows: np.ndarray, *, bar: str = ""
    ) -> Variables:
        how, mesh = self.reestimation, self.mesh
        batches = training_batches(
            data.patches,
            training_rows,
            patch_px=data.info.patch_px,
            tile_px=how.tile_px,
            batch_size=how.batch_size,
            seed=how.seed,
            epoch=0,
            held=held_examples(mesh, how.batch_size),
        )
        placed = (put_batch(batch, mesh, batch_size=how.batch_size) for batch in batches)
        return reestimate_batch_statistics(
            how.statistics_step, variables, with_bar(placed, bar), unbiased_variance=how.unbiased_variance
        )
