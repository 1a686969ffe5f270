"""Scores of a trained run: with the best checkpoint, on all three splits, into the files of the run folder."""

import dataclasses
from typing import Any

import jax

from nucseg_jax.cli.training_run import TrainingRun
from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.errors import reason_of
from nucseg_jax.core.files import write_json
from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.baseline_scores import score_baselines
from nucseg_jax.evaluation.calibration import calibration_path, write_levels
from nucseg_jax.evaluation.examples import SPREAD, Examples, examples_path, write_examples
from nucseg_jax.evaluation.inference_time import time_inference
from nucseg_jax.evaluation.instances.per_image_instances import (
    per_image_instances_path,
    write_per_image_instances,
)
from nucseg_jax.evaluation.instances.tuned_rule import tune_rule
from nucseg_jax.evaluation.nuclei_overlays import nuclei_sheet
from nucseg_jax.evaluation.overlays import example_sheet, save_png
from nucseg_jax.evaluation.per_image import per_image_path, write_per_image
from nucseg_jax.evaluation.split_scores import SplitScores
from nucseg_jax.evaluation.step import placed_batches
from nucseg_jax.evaluation.temperature import compile_temperature_step, fit_temperature
from nucseg_jax.experiment import make_example_predictor
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.stored_rule import rule_to_json
from nucseg_jax.models.temperature import with_temperature
from nucseg_jax.run_folder.check import best_checkpoint
from nucseg_jax.runtime.processes import wait_for_all
from nucseg_jax.training.checkpoint import abstract_like, restore_checkpoint


def score_best(run: TrainingRun) -> dict[str, Any]:
    """Scores all three splits with the best checkpoint, and returns the content of results.json."""
    if jax.process_count() > 1:
        # The first process may still be removing a checkpoint.
        wait_for_all("the last checkpoint")
    best, _ = best_checkpoint(run.folder)
    like = abstract_like(run.experiment.abstract_state(run.static), run.mesh)
    state, _ = restore_checkpoint(best.path, like)
    trained = state.evaluated_variables
    print(
        f"\nscoring train, validation and test with the best checkpoint, step {best.record.step:,}",
        flush=True,
    )
    if run.experiment.config.eval.calibrate:
        trained = with_temperature(
            trained, fitted_temperature(run, trained), run.experiment.model.map_channels
        )
    scorer = run.experiment.nucleus_scorer(run.data.info, nucleus_rule(run, trained))
    scored = run.evaluator.score(trained, run.data, run.data.rows("train"), SPLIT_NAMES, scorer=scorer)
    predictor = make_example_predictor(run.experiment, run.evaluator)
    if predictor is not None:
        predictor = dataclasses.replace(predictor, scorer=scorer)
    for name, (variables, of_split) in scored.items():
        _write_tables(run, name, of_split)
        if predictor is not None:
            _draw(run, name, predictor.examples(variables, run.data, name, of_split.counts))
    if run.experiment.config.eval.time_inference:
        with run.watch.phase("inference timing"):
            images = run.data.patches.take(run.data.rows("test")[:8]).image
            run.folder.record_inference(time_inference(run.experiment.model, trained, images, run.mesh))
    return {name: of_split.result for name, (_, of_split) in scored.items()}


def fitted_temperature(run: TrainingRun, variables: Variables) -> float:
    """Returns the temperature that fits the validation split, and keeps it; 1, and a line, where none does."""
    print("fitting a temperature on the validation split", flush=True)
    rows = run.data.rows("validation")
    fitted = fit_temperature(
        compile_temperature_step(
            run.experiment.model, run.mesh, has_void=run.data.info.has_void, stain=run.evaluator.stain
        ),
        run.evaluator.chosen_variables(variables, run.data, run.data.rows("train"), "validation"),
        placed_batches(run.data.patches, rows, batch_size=run.evaluator.batch_size, mesh=run.mesh),
    )
    if fitted is None:
        print("no temperature fits: probabilities stay as they are", flush=True)
    entry = {"temperature": 1.0} if fitted is None else fitted.entry()
    write_json(run.folder.temperature, {"is_fitted": fitted is not None, **entry})
    return entry["temperature"]


def nucleus_rule(run: TrainingRun, variables: Variables) -> NucleusRule:
    """Returns what counts as a nucleus; where it is tuned on the validation split, it is kept."""
    experiment = run.experiment
    if not experiment.tunes_nuclei:
        return experiment.default_rule
    print("tuning what counts as a nucleus on the validation split", flush=True)
    tuned = tune_rule(
        run.evaluator.step,
        variables,
        run.data,
        experiment.default_rule,
        batch_size=experiment.config.eval.batch_size,
        mesh=run.mesh,
    )
    write_json(
        run.folder.nucleus_rule,
        {"rule": rule_to_json(tuned.rule), "score": "mean binary panoptic quality", "grid": tuned.rows()},
    )
    return tuned.rule


def _write_tables(run: TrainingRun, name: str, scored: SplitScores) -> None:
    """Writes what the scores of a split can be computed from again: counts by patch, and levels of probability."""
    path, patches = run.folder.path, getattr(run.data.splits, name)
    info, index = run.data.info, run.data.dataset.index
    write_per_image(per_image_path(path, name), scored.counts, patches, info=info, index=index)
    instances_path = per_image_instances_path(path, name)
    if scored.instances is None:
        # Of an end that was cut off, before `eval.instances` was changed.
        instances_path.unlink(missing_ok=True)
    else:
        write_per_image_instances(instances_path, scored.instances, patches, info=info, index=index)
    write_levels(calibration_path(path, name), scored.levels)


def _draw(run: TrainingRun, name: str, examples: Examples) -> None:
    """Keeps the examples of a split, and draws those that are spread evenly."""
    write_examples(examples_path(run.folder.path, name), examples)
    spread = examples.only(SPREAD)
    save_png(run.folder.overlays / f"{name}.png", example_sheet(spread, run.data.info))
    if spread.nuclei is not None:
        save_png(run.folder.overlays / f"{name}_nuclei.png", nuclei_sheet(spread, run.data.info))


def record_baseline(run: TrainingRun) -> None:
    """Writes the scores of Otsu's threshold on the test split; a failure is printed and does not fail the run."""
    if jax.process_index() == 0:
        try:
            write_json(run.folder.baselines, score_baselines(run.data, "test", ("otsu_hematoxylin",)))
        except Exception as error:
            print(f"Otsu's threshold could not be scored: {reason_of(error)}", flush=True)
    if jax.process_count() > 1:
        wait_for_all("the baseline")
