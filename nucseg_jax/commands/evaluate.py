"""`evaluate`: scores of a trained run, of baselines, or of both side by side, on one split."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.data.feed import evaluation_batches
from nucseg_jax.data.prepared import PreparedData, load_prepared
from nucseg_jax.data.splits import Splits
from nucseg_jax.evaluation.baselines import BASELINES
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.per_image import write_per_image
from nucseg_jax.experiment import Experiment, read_experiment_file
from nucseg_jax.ops.counts import count_masks
from nucseg_jax.reporting.table import results_table
from nucseg_jax.settings import differences
from nucseg_jax.training.checkpoint import abstract_like, open_checkpoints, restore_checkpoint
from nucseg_jax.training.mesh import replicated
from nucseg_jax.training.run_folder import RunFolder


def evaluate(
    experiment: Experiment | None,
    workdir: pathlib.Path | None,
    *,
    split: str,
    baselines: bool,
    force: bool,
) -> None:
    """Scores one split and prints the table; a run's scores are also written into its folder.

    Args:
      experiment: says which data and split; None = the run's own config.
      workdir: the run; None = baselines alone.
      split: 'train', 'validation' or 'test'.
      baselines: score the baselines too.
      force: go on although the run was trained or selected on some of these patches.

    Raises:
      UserError: nothing to score, no data, a config of another model, or patches that were trained on.
    """
    if workdir is None and not baselines:
        raise UserError("there is nothing to evaluate", expected="--workdir=RUN, --baselines, or both")
    if workdir is None:
        if experiment is None:
            raise UserError("--config is missing", advice="it says which data set and split to score")
        data = load_prepared(experiment.data.data_dir, experiment.splits, [split])
        print(f"baselines on {split}: {len(data.rows(split)):,} patches\n")
        print(results_table({split: {}}, score_baselines(data, split)))
        return

    folder = RunFolder(workdir)
    trained = read_experiment_file(folder.config)
    experiment = experiment or trained
    refuse_another_model(trained, experiment, folder)
    data = load_prepared(experiment.data.data_dir, experiment.splits, [split])
    refuse_seen_patches(folder, data, split, force=force)

    counts, result = score_run(trained, experiment, folder, data, split)
    tables = score_baselines(data, split) if baselines else {}
    out = workdir / "evaluations" / f"{split}-{data.splits.digest[:12]}"
    out.mkdir(parents=True, exist_ok=True)
    write_per_image(out / "per_image.csv", counts, getattr(data.splits, split))
    write_json(out / "results.json", {split: result, **({"baselines": tables} if tables else {})})
    print(results_table({split: result}, tables))
    print(f"\nwritten to {out}")


def score_run(
    trained: Experiment, experiment: Experiment, folder: RunFolder, data: PreparedData, split: str
) -> tuple[Counts, dict[str, Any]]:
    """Scores the best checkpoint of a run on a split of any data set."""
    mesh = experiment.make_mesh()
    if not folder.checkpoints.is_dir():
        raise UserError(
            f"{folder.path} holds no checkpoint", advice="train first, or wait for the first epoch"
        )
    with open_checkpoints(folder.checkpoints) as checkpoints:
        best = checkpoints.best_step()
        if best is None:
            raise UserError(
                f"{folder.path} holds no validated checkpoint yet", advice="wait for the first epoch's end"
            )
        recipe = trained.recipe(steps_per_epoch=1)
        like = jax.eval_shape(lambda: trained.init_state(recipe))
        state, record = restore_checkpoint(checkpoints, best, abstract_like(like, replicated(mesh)))
    splits, _ = folder.read_splits()
    if record["split_digest"] != splits.digest:
        raise UserError(
            f"{folder.split} does not belong to the checkpoints beside it",
            advice="restore the file that train wrote",
        )
    print(
        f"{folder.path}, checkpoint of step {best:,}, on {split}: {len(data.rows(split)):,} patches\n",
        flush=True,
    )
    return experiment.scorer(mesh).score(state.variables, data, split)


def refuse_another_model(trained: Experiment, asked: Experiment, folder: RunFolder) -> None:
    """Raises UserError if --config describes another model than the run has."""
    changes = [line for line in differences(trained.settings, asked.settings) if line.startswith("model.")]
    if changes:
        raise UserError(
            f"{folder.path} holds another model than --config describes: " + "; ".join(changes),
            advice="leave --config out: the run knows its own",
        )


def refuse_seen_patches(folder: RunFolder, data: PreparedData, split: str, *, force: bool) -> None:
    """Raises UserError if patches of `split` were trained on, or chose the checkpoint, unless forced.

    A data set with another content is another set of patches, whatever their numbers.
    """
    splits, record = folder.read_splits()
    if force or record["data_digest"] != data.digest:
        return
    asked = _pairs(data.splits, split)
    for used, verb in (("train", "trained on"), ("validation", "selected on")):
        common = len(asked & _pairs(splits, used))
        if common:
            raise UserError(
                f"{common:,} of the {len(asked):,} patches of this {split} split were {verb} by {folder.path}",
                expected="patches the run has never seen",
                advice="choose another --split, or add --force to score them all the same",
            )


def _pairs(splits: Splits, name: str) -> set[tuple[int, int]]:
    return {(int(fold), int(row)) for fold, row in getattr(splits, name)}


def score_baselines(data: PreparedData, split: str) -> dict[str, dict[str, Any]]:
    """Every baseline on a split, as `{name: {split: {convention: {metric: value}}}}`."""
    return {
        name: {split: baseline_counts(baseline, data, split).compute()}
        for name, baseline in BASELINES.items()
    }


def baseline_counts(baseline: Callable[[np.ndarray], np.ndarray], data: PreparedData, split: str) -> Counts:
    """Counts of a function from images uint8 [N, H, W, 3] to masks bool [N, H, W]."""
    counts = Counts.empty()
    for batch in evaluation_batches(data.patches, data.rows(split), batch_size=8):
        counts = counts.merge(
            Counts.from_batch(
                counts=count_masks(baseline(batch.image), batch.label > 0),
                index=batch.index,
                tissue=batch.tissue,
                loss=np.zeros(len(batch.index), np.float32),
                valid=batch.valid,
            )
        )
    return counts
