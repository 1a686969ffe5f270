"""The phases of a training run: from a checkpoint, or none, through the epochs."""

import contextlib
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from nucseg_jax.cli.first_weights import FirstWeights
from nucseg_jax.core.files import sync_file
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.evaluation.evaluator import Evaluator
from nucseg_jax.evaluation.overlays import example_sheet
from nucseg_jax.evaluation.training_scores import training_scores
from nucseg_jax.experiment import Experiment, make_example_predictor
from nucseg_jax.run_folder.check import (
    READ_WHEN_RESUMED,
    require_best,
    resumed_scores,
)
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.record import RunRecord, digests_of
from nucseg_jax.run_folder.saved_checkpoints import mend_scores
from nucseg_jax.runtime.mesh import keep_state_sharded
from nucseg_jax.runtime.placement import put_state
from nucseg_jax.runtime.preemption import preemption_requested
from nucseg_jax.runtime.stopwatch import Stopwatch, process_age_s
from nucseg_jax.training.checkpoint import (
    abstract_like,
    best_score,
    restore_newest,
    save_checkpoint,
)
from nucseg_jax.training.compiled_steps import CompiledSteps
from nucseg_jax.training.feed import TrainingFeed
from nucseg_jax.training.loop import Hooks, NonFiniteLossError, fit
from nucseg_jax.training.observer import RunObserver
from nucseg_jax.training.schedule import Schedule
from nucseg_jax.training.start_up import compile_line, start_up_line
from nucseg_jax.training.state import TrainState, close_epoch, with_modules
from nucseg_jax.training.step import StaticArguments, compile_train_steps


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """Context that the phases of a run share.

    Attributes:
      experiment: the config's parts.
      schedule: how long.
      data: patches, in memory or on disk.
      feed: of training batches.
      mesh: devices.
      folder: where everything is written.
      static: arguments that are fixed when the step is compiled.
      evaluator: scores.
      weights: first weights of the model; None from scratch, and in a run that has a checkpoint.
      programs: compiled training steps.
      watch: wall time by phase.
      data_digest: of the prepared data set.
      scores: of validations by step; grows with every epoch.
    """

    experiment: Experiment
    schedule: Schedule
    data: PreparedData
    feed: TrainingFeed
    mesh: Mesh
    folder: RunFolder
    static: StaticArguments
    evaluator: Evaluator
    weights: FirstWeights | None
    programs: CompiledSteps
    watch: Stopwatch
    data_digest: str = ""
    scores: dict[int, float] = dataclasses.field(default_factory=dict)

    @property
    def batch_size(self) -> int:
        """Examples a step."""
        return self.experiment.config.train.batch_size

    def record_timing(self) -> None:
        """Updates timing.json."""
        self.folder.record_timing(self.watch.seconds, self.programs.origin)

    def record(self, step: int) -> RunRecord:
        """Returns the record of the run now, `step` steps done."""
        return RunRecord(
            source="",
            step=step,
            config=self.experiment.config.as_json(),
            split_digest=self.data.splits.digest,
            data_digest=self.data_digest,
            scores=dict(self.scores),
            files=digests_of(self.folder.path, READ_WHEN_RESUMED),
        )


def run_epochs(run: TrainingRun, state: TrainState, checkpoints: ocp.CheckpointManager) -> None:
    """Trains from `state` to the end of the schedule."""
    watch = run.watch
    done_steps = int(state.step)
    require_best(run.folder, best_score(checkpoints), run.scores)
    if done_steps == run.schedule.total_steps:
        return
    observer = RunObserver(
        run.folder,
        run.schedule,
        done_steps=done_steps,
        batch_size=run.batch_size,
        learning_rate=run.experiment.config.train.lr,
    )
    if not done_steps:
        observer.on_start(run.experiment.config.as_json())
    with watch.phase("training"), contextlib.closing(observer), preemption_requested() as should_stop:
        hooks = dataclasses.replace(training_hooks(run, checkpoints, observer), should_stop=should_stop)
        try:
            fit(state, run.schedule, hooks)
        finally:
            # In here: the next SIGTERM, as of a scheduler that repeats it, must not end what is being saved.
            checkpoints.wait_until_finished()


def training_hooks(run: TrainingRun, checkpoints: ocp.CheckpointManager, observer: RunObserver) -> Hooks:
    """Returns the functions that the training loop calls."""
    settings, watch = run.experiment.config.train, run.watch
    close = compile_close_epoch(run)
    is_evaluation_compiled = False

    def end_epoch(state: TrainState, epoch: int) -> tuple[TrainState, float]:
        nonlocal is_evaluation_compiled
        del epoch
        if not is_evaluation_compiled:
            observer.on_wait("compiling the evaluation step, and validating")
            is_evaluation_compiled = True
        values = validate(run, state)
        loss = values["validation"]["loss"]
        if loss is None:
            raise NonFiniteLossError(int(state.step), "validation loss", math.nan)
        score = values["validation"]["micro"]["dice"] or 0.0
        best = best_score(checkpoints)
        # Of the epoch's last step.
        rate = settings.lr * float(run.static.update_scale(state, int(state.step) - 1))
        is_best = best is None or score >= best
        observer.on_epoch(int(state.step), values, learning_rate=rate, is_best=is_best)
        example_predictor = make_example_predictor(run.experiment, run.evaluator)
        if example_predictor is not None:
            with watch.phase("pictures"):
                examples = example_predictor.spread(state.evaluated_variables, run.data, "validation")
                observer.on_pictures(int(state.step), example_sheet(examples, run.data.info))
        return close(state, np.float32(loss)), score

    def save(state: TrainState, score: float | None) -> None:
        with watch.phase("checkpoints"):
            # The checkpoint holds a digest of these lines, and must not outlive them.
            sync_file(run.folder.metrics)
            save_checkpoint(checkpoints, state, run.record(int(state.step)).as_json(), score)
            if score is not None:
                run.scores[int(state.step)] = score
        run.record_timing()
        observer.on_pause()

    train_steps = compile_train_steps(run.static, run.mesh, run.feed.fetch)

    def steps(state: TrainState, tickets: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        is_first = run.programs.origin is None
        if is_first:
            platform = run.mesh.devices.flat[0].platform
            observer.on_wait(compile_line(run.folder.program_seconds(), platform))
        result = run.programs.run(train_steps, watch, state, run.feed.source, tickets)
        if is_first and run.programs.origin is not None:
            count = len(next(iter(result[1].values())))
            observer.on_started(start_up_line(process_age_s(), watch.seconds, run.programs.origin), count)
        return result

    return Hooks(
        tickets=run.feed.tickets,
        steps=steps,
        end_epoch=end_epoch,
        save=save,
        on_step=observer.on_step,
        on_logs=observer.on_logs,
        undefined=run.static.undefined_logs,
    )


def compile_close_epoch(run: TrainingRun) -> Callable[[TrainState, np.float32], TrainState]:
    """Returns a jitted function from a state and a validation loss to the state before the next epoch."""

    @jax.jit
    def close(state: TrainState, validation_loss: jax.Array) -> TrainState:
        closed = close_epoch(state, run.experiment.plateau, validation_loss)
        return keep_state_sharded(closed, run.mesh)

    return close


def start_or_resume(run: TrainingRun) -> TrainState:
    """Returns the state of the newest intact checkpoint, or a new one."""
    like = abstract_like(run.experiment.abstract_state(run.static), run.mesh)
    if jax.process_count() == 1:
        for line in mend_scores(run.folder.checkpoints):
            print(line)
    found = restore_newest(run.folder.checkpoints, like, set_aside=run.folder.damaged_checkpoints)
    if found is None:
        state = run.experiment.init_state(run.static)
        if run.weights is not None:
            state = with_modules(state, run.weights.variables)
        return put_state(state, run.mesh)
    state, record, damaged = found
    for error in damaged:
        # Both in one line, also where it is long: people search their logs for them.
        print(f"set aside {error.path.name} into {run.folder.damaged_checkpoints}: {error.reason}")
    run.scores.update(resumed_scores(run.folder, record))
    print(f"resuming from the checkpoint of step {record.step:,}\n", flush=True)
    return state


def validate(run: TrainingRun, state: TrainState) -> dict[str, Any]:
    """Returns the epoch's entries: training, summed over its steps, and validation."""
    with run.watch.phase("validation"):
        return {
            "train": training_scores(state.epoch_sums, run.static.objective),
            "validation": run.evaluator.validate(state.evaluated_variables, run.data),
        }
