"""The models of `robustness` on the devices, opened when a cell is missing."""

import functools

from nucseg_jax.best_model import rule_of, scored_variables
from nucseg_jax.cli.evaluate import read_patches
from nucseg_jax.cli.robustness_targets import Target
from nucseg_jax.cli.stain_target import target_of_scores
from nucseg_jax.core.arrays import Variables
from nucseg_jax.evaluation.evaluator import Evaluator
from nucseg_jax.evaluation.robustness.corrupted_split import CorruptedSplit
from nucseg_jax.experiment import make_evaluator, read_experiment_file
from nucseg_jax.ops.stain_normalization.target import StainTarget


class OpenedRuns:
    """The models on the devices: each run is restored once and compiled once, whatever it is scored on."""

    def __init__(self, views: int) -> None:
        self._views = views
        self._variables: dict[str, Variables] = {}
        self._evaluators: dict[tuple[str, bool], Evaluator] = {}
        self._stains: dict[str, StainTarget | None] = {}
        self._last: tuple[Target, CorruptedSplit] | None = None

    def split(self, target: Target) -> CorruptedSplit:
        """Returns a target ready to be scored; reads its patches unless it is the one that was asked for last."""
        if self._last is None or self._last[0] is not target:
            self._last = None
            evaluator = self._evaluator(target)
            variables = self._chosen_variables(target, evaluator)
            data = target.plan.read_or_open([target.split])
            scorer = target.experiment.nucleus_scorer(
                target.plan.info, rule_of(target.folder, target.experiment)
            )
            self._last = (target, CorruptedSplit(evaluator, variables, data, target.split, scorer))
        return self._last[1]

    def _evaluator(self, target: Target) -> Evaluator:
        info = target.plan.info
        key = (target.role, info.has_void)
        if key not in self._evaluators:
            mesh = target.experiment.make_mesh(info.patch_px)
            self._evaluators[key] = make_evaluator(
                target.experiment, mesh, has_void=info.has_void, views=self._views, stain=self._stain(target)
            )
        return self._evaluators[key]

    def _stain(self, target: Target) -> StainTarget | None:
        if target.role not in self._stains:
            self._stains[target.role] = target_of_scores(
                read_experiment_file(target.folder.config),
                target.experiment,
                target.folder,
                functools.partial(
                    read_patches, target.folder, target.own_plan, target.own_split, training=True
                ),
            )
        return self._stains[target.role]

    def _chosen_variables(self, target: Target, evaluator: Evaluator) -> Variables:
        if target.role not in self._variables:
            _, variables = scored_variables(target.experiment, target.folder, evaluator.mesh)
            if evaluator.reestimates and evaluator.reestimation.on == "training":
                data, rows = read_patches(target.folder, target.own_plan, target.own_split, training=True)
                variables = evaluator.chosen_variables(
                    variables, data, rows, target.own_split, bar="re-estimating statistics"
                )
            self._variables[target.role] = variables
        return self._variables[target.role]
