"""The evaluator of a model and the predictor of its examples, as a config has them."""

import jax
from jax.sharding import Mesh

from nucseg_jax.core.arrays import Tree
from nucseg_jax.evaluation.batch_norm import compile_statistics_step
from nucseg_jax.evaluation.evaluator import Evaluator, Reestimation
from nucseg_jax.evaluation.example_predictor import ExamplePredictor
from nucseg_jax.evaluation.step import compile_evaluation_of_views, compile_evaluation_step
from nucseg_jax.experiment.parts import Experiment
from nucseg_jax.ops.stain_normalization.target import StainTarget
from nucseg_jax.ops.symmetries import check_views
from nucseg_jax.training.optimizer import l2_mask, l2_penalty


def make_evaluator(
    experiment: Experiment,
    mesh: Mesh,
    *,
    has_void: bool = False,
    views: int = 1,
    stain: StainTarget | None = None,
) -> Evaluator:
    """Returns what scores the model; reuse it, it caches compiled functions.

    Args:
      mesh: where it runs.
      has_void: of the data set that is scored.
      views: 1, or 8 = the mean over the symmetries of each patch is scored, see `models.views`.
      stain: what images are normalised to, by the method of `eval.stain_normalization`; None for 'none'.

    Raises:
      UserError: another number of views.
      ValueError: a target of another method than the config's.
    """
    check_views(views)
    method = "none" if stain is None else stain.method
    if method != experiment.config.eval.stain_normalization:
        raise ValueError(
            f"eval.stain_normalization is {experiment.config.eval.stain_normalization!r}, and the target's method is"
            f" {method!r}"
        )
    compile_step = compile_evaluation_step if views == 1 else compile_evaluation_of_views
    loss, train, evaluation = experiment.config.loss, experiment.config.train, experiment.config.eval
    without_dropout = experiment.model.without_dropout()

    @jax.jit
    def penalty(params: Tree) -> jax.Array:
        return l2_penalty(params, l2_mask(params, loss.l2_scope, experiment.frozen_stages), loss.l2)

    objective = experiment.evaluation_objective
    return Evaluator(
        step=compile_step(
            experiment.model, objective, mesh, head=experiment.head, has_void=has_void, stain=stain
        ),
        batch_statistics_step=compile_step(
            without_dropout,
            objective,
            mesh,
            head=experiment.head,
            batch_statistics=True,
            has_void=has_void,
            stain=stain,
        ),
        objective=objective,
        l2_penalty=penalty,
        batch_size=evaluation.batch_size,
        mesh=mesh,
        reestimation=Reestimation(
            compile_statistics_step(
                without_dropout,
                mesh,
                momentum=experiment.config.model.batch_norm_momentum,
                unbiased_variance=experiment.config.model.batch_norm_unbiased_variance,
                frozen_stages=without_dropout.encoder.frozen_statistics,
                # Training tiles are never normalised.
                stain=stain if evaluation.estimate_on == "scored" else None,
            ),
            unbiased_variance=experiment.config.model.batch_norm_unbiased_variance,
            on=evaluation.estimate_on,
            tile_px=train.tile_px,
            batch_size=train.batch_size,
            seed=train.seed,
        ),
        reestimates=evaluation.reestimate_batch_norm,
        compares=evaluation.compare_statistics,
        stain=stain,
    )


def make_example_predictor(experiment: Experiment, evaluator: Evaluator) -> ExamplePredictor | None:
    """Returns what predicts the patches to be drawn, with the evaluator's programs; None without pictures."""
    count = experiment.config.eval.overlays
    if not count:
        return None
    return ExamplePredictor(evaluator.step, count, batch_size=evaluator.batch_size, mesh=evaluator.mesh)
