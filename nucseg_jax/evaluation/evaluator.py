"""Scores of a model, with the batch-norm statistics that the config asks for."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.config.evaluation import Comparison, EstimatedOn
from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.results import Entry
from nucseg_jax.data.batches import shuffled_batches, training_batches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.evaluation.batch_norm import StatisticsStep, reestimate_batch_statistics
from nucseg_jax.evaluation.instances.nucleus_scorer import NucleusScorer
from nucseg_jax.evaluation.progress import with_bar
from nucseg_jax.evaluation.split_scores import SplitScores, score_split
from nucseg_jax.evaluation.step import EvaluationStep
from nucseg_jax.ops.objective import Objective
from nucseg_jax.ops.stain_normalization.target import StainTarget
from nucseg_jax.runtime.placement import held_examples, put_batch


@dataclasses.dataclass(frozen=True)
class Reestimation:
    """Parameters of re-estimating batch-norm statistics.

    Attributes:
      statistics_step: from `compile_statistics_step`.
      unbiased_variance: see `reestimate_batch_statistics`.
      on: 'training' = one pass over the training tiles, shuffled, not augmented; 'scored' = over the patches that are
        scored, whole, shuffled.
      tile_px, batch_size, seed: as in training.
    """

    statistics_step: StatisticsStep
    unbiased_variance: bool
    on: EstimatedOn
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
      stain: what its steps normalise images to; None = nothing.
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
    stain: StainTarget | None = None

    def validate(self, variables: Variables, data: PreparedData) -> Entry:
        """The validation split's entry at an epoch's end."""
        chosen = self.chosen_variables(variables, data, data.rows("train"), "validation")
        result = self._score(self.step, chosen, data, "validation").result
        if self.compares == "epochs":
            result["batch_statistics"] = self._score(
                self.batch_statistics_step, variables, data, "validation"
            ).result
        return result

    def chosen_variables(
        self,
        variables: Variables,
        data: PreparedData,
        training_rows: np.ndarray,
        split: str,
        *,
        bar: str = "",
    ) -> Variables:
        """Returns the variables that a split is scored with: statistics estimated again where the config asks for it.

        Args:
          variables, data, training_rows: as in `score`.
          split: that will be scored.
          bar: text of a progress bar; '' for none.
        """
        if not self.reestimates:
            return variables
        return self._reestimate(variables, data, training_rows, split, bar=bar)

    def score(
        self,
        variables: Variables,
        data: PreparedData,
        training_rows: np.ndarray,
        splits: Sequence[str],
        *,
        scorer: NucleusScorer | None = None,
    ) -> dict[str, tuple[Variables, SplitScores]]:
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
          By split, the variables that were scored and the scores.
        """
        other_name = "moving_statistics" if self.reestimates else "reestimated_statistics"
        reestimated = None
        scored = {}
        for name in splits:
            if (self.reestimates or self.compares != "never") and (
                reestimated is None or self.reestimation.on == "scored"
            ):
                bar = "re-estimating statistics"
                reestimated = self._reestimate(variables, data, training_rows, name, bar=bar)
            chosen = reestimated if self.reestimates and reestimated is not None else variables
            of_split = self._score(self.step, chosen, data, name, scorer=scorer, bar=f"scoring {name}")
            if self.compares != "never":
                with_batch = self._score(
                    self.batch_statistics_step, variables, data, name, bar=f"{name}, batch statistics"
                )
                other = variables if self.reestimates or reestimated is None else reestimated
                with_other = self._score(self.step, other, data, name, bar=f"{name}, {other_name}")
                of_split.result.update({"batch_statistics": with_batch.result, other_name: with_other.result})
            scored[name] = chosen, of_split
        return scored

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
        self,
        variables: Variables,
        data: PreparedData,
        training_rows: np.ndarray,
        split: str,
        *,
        bar: str = "",
    ) -> Variables:
        how, mesh = self.reestimation, self.mesh
        held = held_examples(mesh, how.batch_size)
        if how.on == "scored":
            batches = shuffled_batches(
                data.patches, data.rows(split), batch_size=how.batch_size, seed=how.seed, held=held
            )
        else:
            batches = training_batches(
                data.patches,
                training_rows,
                patch_px=data.info.patch_px,
                tile_px=how.tile_px,
                batch_size=how.batch_size,
                seed=how.seed,
                epoch=0,
                held=held,
            )
        placed = (put_batch(batch, mesh, batch_size=how.batch_size) for batch in batches)
        return reestimate_batch_statistics(
            how.statistics_step, variables, with_bar(placed, bar), unbiased_variance=how.unbiased_variance
        )
