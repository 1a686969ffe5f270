"""`train`: from a config to a run folder with results.json; run again, it goes on where it was."""

import contextlib
import dataclasses
import functools
import json
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.core.stopwatch import Stopwatch
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.feed import training_batches
from nucseg_jax.data.prepared import PreparedData, plan_data
from nucseg_jax.data.splits import SPLIT_NAMES, Splits
from nucseg_jax.evaluation.evaluator import Evaluator
from nucseg_jax.evaluation.per_image import per_image_path, write_per_image
from nucseg_jax.evaluation.training_scores import training_scores
from nucseg_jax.experiment import Experiment, read_experiment_file
from nucseg_jax.pretrained.load import Loaded
from nucseg_jax.reporting.overlays import save_png
from nucseg_jax.reporting.table import results_table
from nucseg_jax.settings import differences
from nucseg_jax.training.checkpoint import (
    abstract_like,
    best_score,
    open_checkpoints,
    restore_checkpoint,
    save_checkpoint,
)
from nucseg_jax.training.environment import describe_environment
from nucseg_jax.training.loop import Hooks, NonFiniteLossError, fit
from nucseg_jax.training.mesh import put_batch, put_state, replicated
from nucseg_jax.training.observer import RunObserver
from nucseg_jax.training.run_folder import RunFolder, claim_run_folder
from nucseg_jax.training.schedule import Schedule, make_schedule
from nucseg_jax.training.state import TrainState, close_epoch, with_encoder
from nucseg_jax.training.step import StepRecipe, compile_train_step

# Fields that change no number of a run: they may differ when it is taken up again.
FREE_FIELDS = (
    "data.dir:",
    "data.release_dir:",
    "train.log_every_steps:",
    "train.checkpoint_every_steps:",
    "eval.overlays:",
)


@dataclasses.dataclass(frozen=True)
class Run:
    """What the parts of `train` share.

    Attributes:
      experiment: the config's parts.
      schedule: how long.
      data: patches in memory.
      mesh: devices.
      folder: where everything is written.
      recipe: what the step is bound to.
      evaluator: scores and draws.
      weights: what the encoder starts from; None from scratch, and in a run that has a checkpoint.
      watch: wall time by phase.
    """

    experiment: Experiment
    schedule: Schedule
    data: PreparedData
    mesh: Mesh
    folder: RunFolder
    recipe: StepRecipe
    evaluator: Evaluator
    weights: Loaded | None
    watch: Stopwatch


def train(experiment: Experiment, workdir: pathlib.Path) -> None:
    """Trains, validates every epoch, scores all splits with the best checkpoint, says where everything lies.

    Raises:
      UserError: no data, another run's folder, a batch that does not fit the mesh, a non-finite loss.
    """
    if experiment.settings.train.deterministic:
        # XLA reads it when the backend starts, which is when the mesh below looks for devices.
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
    watch = Stopwatch()
    plan = plan_data(experiment.data.data_dir, experiment.splits)
    settings = experiment.settings.train
    schedule = make_schedule(
        len(plan.splits.train),
        epochs=settings.epochs,
        tile_px=settings.tile_px,
        batch_size=settings.batch_size,
        log_every_steps=settings.log_every_steps,
        checkpoint_every_steps=settings.checkpoint_every_steps,
    )
    mesh = experiment.make_mesh()
    weights = first_weights(experiment, RunFolder(workdir))
    config, changes = experiment.settings.as_json(), changes_since_start(experiment, RunFolder(workdir))
    with claim_run_folder(workdir, config, changes, plan.splits, plan.digest) as folder:
        if folder.results.exists():
            print(f"{workdir} is finished; there is nothing left to train.\n")
            print_results(folder)
            return
        folder.record_start(describe_environment())
        announce(experiment, plan.splits, schedule, mesh, weights)
        if weights is not None:
            write_json(folder.pretrained, weights.report.as_json())
        with watch.phase("data"):
            data = plan.read()
        recipe = experiment.recipe(schedule.steps_per_epoch)
        evaluator = experiment.evaluator(mesh)
        run = Run(experiment, schedule, data, mesh, folder, recipe, evaluator, weights, watch)
        try:
            with open_checkpoints(folder.checkpoints) as checkpoints:
                run_epochs(run, checkpoints)
                with watch.phase("test"):
                    score_best(run, checkpoints)
        finally:
            folder.record_timing(watch.seconds)
        print()
        print_results(folder)


def changes_since_start(experiment: Experiment, folder: RunFolder) -> list[str]:
    """How the config differs from the one the folder was started with, free fields left out."""
    if not folder.config.exists():
        return []
    before = read_experiment_file(folder.config).settings
    return [line for line in differences(before, experiment.settings) if not line.startswith(FREE_FIELDS)]


def first_weights(experiment: Experiment, folder: RunFolder) -> Loaded | None:
    """The pretrained encoder, if the run has not got beyond its first step.

    Raises:
      UserError: `pretrained.path` does not fit the model, or is not what the run was started with.
    """
    if folder.results.exists() or (folder.checkpoints.is_dir() and any(folder.checkpoints.iterdir())):
        return None
    weights = experiment.pretrained_encoder()
    if weights is not None and folder.pretrained.exists():
        before = json.loads(folder.pretrained.read_text(encoding="utf-8"))["digest"]
        if before != weights.report.digest:
            raise UserError(
                f"{experiment.settings.pretrained.path} holds other weights than when {folder.path} was started",
                expected=f"the weights with digest {before[:12]}; found {weights.report.digest[:12]}",
                advice="choose another --workdir",
            )
    return weights


def announce(
    experiment: Experiment, splits: Splits, schedule: Schedule, mesh: Mesh, weights: Loaded | None
) -> None:
    """Says what is about to run, in a few lines."""
    model, train = experiment.settings.model, experiment.settings.train
    sizes = ", ".join(f"{name} {len(getattr(splits, name)):,}" for name in SPLIT_NAMES)
    devices = list(mesh.devices.flat)
    print(f"model     {model.decoder} on {model.encoder}, {train.dtype}")
    print(f"patches   {sizes} ({experiment.settings.split.protocol} split {splits.digest[:12]})")
    print(
        f"training  {schedule.epochs} epochs of {schedule.steps_per_epoch} steps,"
        f" {train.batch_size} tiles of {train.tile_px} px a step, learning rate {train.lr:g}"
    )
    print(f"devices   {len(devices)} x {devices[0].device_kind}")
    if weights is not None:
        print(f"weights   {weights.summary}")
    elif not experiment.settings.pretrained.path:
        print(
            "weights   from scratch: pretrained.path is empty. The paper starts from ImageNet weights:\n"
            f"          python launch.py convert --encoder={model.encoder} --source=download"
            f" --out=weights/{model.encoder}"
        )
    frozen = experiment.frozen_stages
    if frozen:
        kept = "with" if experiment.settings.transfer.freeze_batch_norm else "without"
        print(f"frozen    encoder {', '.join(frozen)}, {kept} their batch-norm statistics")
    print(flush=True)


def run_epochs(run: Run, checkpoints: ocp.CheckpointManager) -> None:
    """Trains from the newest checkpoint, or from the start, to the end of the schedule."""
    settings, watch = run.experiment.settings.train, run.watch
    with watch.phase("start"):
        state = start_or_resume(run, checkpoints)
    done_steps = int(state.step)
    if done_steps == run.schedule.total_steps:
        return
    observer = RunObserver(run.folder, run.schedule, done_steps=done_steps, batch_size=settings.batch_size)
    if not done_steps:
        observer.on_start(run.experiment.settings.as_json())
    record = {"config": run.experiment.settings.as_json(), "split_digest": run.data.splits.digest}

    @functools.partial(jax.jit, out_shardings=replicated(run.mesh))
    def close(state: TrainState, validation_loss: jax.Array) -> TrainState:
        return close_epoch(state, run.experiment.plateau, validation_loss)

    def end_epoch(state: TrainState, epoch: int) -> tuple[TrainState, float]:
        del epoch
        values = validate(run, state)
        loss = values["validation"]["loss"]
        if loss is None:
            raise NonFiniteLossError(int(state.step), "validation loss", math.nan)
        score = values["validation"]["micro"]["dice"] or 0.0
        best = best_score(checkpoints)
        rate = settings.lr * float(state.plateau.scale)
        is_best = best is None or score >= best
        observer.on_epoch(int(state.step), values, learning_rate=rate, is_best=is_best)
        with watch.phase("pictures"):
            sheet = run.evaluator.draw(state.variables, run.data, "validation")
        if sheet is not None:
            observer.on_pictures(int(state.step), sheet)
        return close(state, jnp.asarray(loss, jnp.float32)), score

    def save(state: TrainState, score: float | None) -> None:
        with watch.phase("checkpoints"):
            save_checkpoint(checkpoints, state, record, score)
        run.folder.record_timing(watch.seconds)
        observer.on_pause()

    hooks = Hooks(
        batches=lambda epoch, first_step: training_feed(run, epoch, first_step),
        step=compile_train_step(run.recipe, run.mesh),
        end_epoch=end_epoch,
        save=save,
        on_step=observer.on_step,
        on_logs=observer.on_logs,
    )
    with watch.phase("training"), contextlib.closing(observer):
        fit(state, run.schedule, hooks)
        checkpoints.wait_until_finished()


def training_feed(run: Run, epoch: int, first_step: int = 0) -> Iterator[Batch]:
    """The training batches of an epoch, on the mesh."""
    settings = run.experiment.settings.train
    for batch in training_batches(
        run.data.patches,
        run.data.rows("train"),
        tile_px=settings.tile_px,
        batch_size=settings.batch_size,
        seed=settings.seed,
        epoch=epoch,
        first_step=first_step,
    ):
        yield put_batch(batch, run.mesh)


def start_or_resume(run: Run, checkpoints: ocp.CheckpointManager) -> TrainState:
    """The state of the newest checkpoint, or a new one."""
    newest = checkpoints.latest_step()
    if newest is None:
        state = run.experiment.init_state(run.recipe)
        if run.weights is not None:
            state = with_encoder(state, run.weights.variables)
        return put_state(state, run.mesh)
    print(f"resuming from the checkpoint of step {newest:,}\n", flush=True)
    return restore(run, checkpoints, newest)


def restore(run: Run, checkpoints: ocp.CheckpointManager, step: int) -> TrainState:
    """The state of a checkpoint, on every device."""
    like = run.experiment.abstract_state(run.recipe)
    state, _ = restore_checkpoint(checkpoints, step, abstract_like(like, replicated(run.mesh)))
    return state


def validate(run: Run, state: TrainState) -> dict[str, Any]:
    """The epoch's entries: training as it went, and validation."""
    with run.watch.phase("validation"):
        values = {"train": training_scores(state, run.recipe.term_names)}
        variables = run.evaluator.prepare(state.variables, run.data, run.data.rows("train"))
        _, values["validation"] = run.evaluator.score(variables, run.data, "validation")
    return values


def score_best(run: Run, checkpoints: ocp.CheckpointManager) -> None:
    """Scores all three splits with the best checkpoint; results.json comes last."""
    best = checkpoints.best_step()
    variables = restore(run, checkpoints, best).variables
    print(f"\nscoring train, validation and test with the best checkpoint, step {best:,}", flush=True)
    results = {}
    variables = run.evaluator.prepare(variables, run.data, run.data.rows("train"))
    for name in SPLIT_NAMES:
        counts, results[name] = run.evaluator.score(variables, run.data, name)
        write_per_image(per_image_path(run.folder.path, name), counts, getattr(run.data.splits, name))
        sheet = run.evaluator.draw(variables, run.data, name)
        if sheet is not None:
            save_png(run.folder.overlays / f"{name}.png", sheet)
    write_json(run.folder.results, results)


def print_results(folder: RunFolder) -> None:
    """Prints the table of results.json and where everything lies."""
    print(results_table(json.loads(folder.results.read_text(encoding="utf-8"))))
    print(f"\nrun folder: {folder.path}")
    print(f"pictures:   {folder.overlays}")
    print(f"curves:     tensorboard --logdir {folder.tensorboard}")
