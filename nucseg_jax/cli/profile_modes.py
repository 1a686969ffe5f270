"""Prepares the cases of `profile` to be measured: compiled, and run once."""

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Callable

import jax
import numpy as np

from nucseg_jax.cli.profile_batch import noise_target, random_batch
from nucseg_jax.cli.profile_cases import Case
from nucseg_jax.cli.training_run import TrainingRun, compile_close_epoch, training_hooks
from nucseg_jax.data.prepared import DataPlan
from nucseg_jax.evaluation.step import compile_evaluation_step
from nucseg_jax.experiment import make_evaluator, make_training_feed, read_experiment
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.runtime.compilation_cache import Origin, cached_compile
from nucseg_jax.runtime.mesh import dispatch_sharded
from nucseg_jax.runtime.placement import put_batch, put_state
from nucseg_jax.runtime.stopwatch import Stopwatch
from nucseg_jax.training.checkpoint import open_checkpoints
from nucseg_jax.training.compiled_steps import CompiledSteps
from nucseg_jax.training.feed import resolved_steps_per_dispatch
from nucseg_jax.training.observer import RunObserver
from nucseg_jax.training.paced_fit import PacedFit
from nucseg_jax.training.schedule import Schedule, make_schedule
from nucseg_jax.training.state import TrainState
from nucseg_jax.training.step import compile_train_steps
from nucseg_jax.training.throughput import Mode

# Longer than anybody measures.
_EPOCHS = 1_000_000


@dataclasses.dataclass(frozen=True)
class ReadyCase:
    """A case that has run once.

    Attributes:
      mode: what is measured.
      program: the compiled step.
      compile_s: tracing, lowering and compiling, or loading from JAX's cache.
      program_from: 'cache' or 'compiler'.
      close: frees what the case holds.
    """

    mode: Mode
    program: jax.stages.Compiled
    compile_s: float
    program_from: Origin
    close: Callable[[], None]


def ready(case: Case, plan: DataPlan | None) -> ReadyCase:
    """Compiles a case and runs it once.

    Args:
      case: what to run.
      plan: of the prepared data; the synthetic feed needs none.
    """
    if case.work == "evaluation":
        return _ready_evaluation(case)
    if plan is None or case.feed == "synthetic":
        return _ready_bare_step(case)
    return _ready_training_loop(case, plan)


def _ready_bare_step(case: Case) -> ReadyCase:
    """Prepares the training step on one batch, which stays on the device."""
    experiment = case.experiment
    mesh = experiment.make_mesh(case.patch_px)
    steps = resolved_steps_per_dispatch(experiment.config.train.steps_per_dispatch, mesh)
    static = experiment.static_arguments(steps_per_epoch=1000, has_void=case.has_void)
    noise = random_batch((steps, case.batch_size), case.px, with_instances=experiment.scores_instances)
    tickets = jax.device_put(noise, dispatch_sharded(mesh))
    state = put_state(experiment.init_state(static), mesh)
    jitted = compile_train_steps(static, mesh, fetch=lambda source, ticket: ticket)
    program, compile_s, origin = cached_compile(jitted, state, (), tickets)

    def advance(dispatches: int) -> None:
        nonlocal state
        for _ in range(dispatches):
            state, _logs = program(state, (), tickets)
        jax.block_until_ready(state)

    advance(1)
    mode = Mode(advance, images=steps * case.batch_size, steps=steps)
    return ReadyCase(mode, program, compile_s, origin, close=lambda: None)


def ready_targets(case: Case) -> Mode:
    """Compiles what makes the target maps of the instance head, alone, for a batch of a training case; runs it once.

    Args:
      case: of training, with an instance head.
    """
    experiment = case.experiment
    mesh = experiment.make_mesh(case.patch_px)
    instance = put_batch(random_batch((case.batch_size,), case.px, with_instances=True), mesh).instance
    program, _, _ = cached_compile(jax.jit(experiment.head.target_maps), instance)

    def advance(dispatches: int) -> None:
        for _ in range(dispatches):
            maps = program(instance)
        jax.block_until_ready(maps)

    advance(1)
    return Mode(advance, images=case.batch_size)


def _ready_evaluation(case: Case) -> ReadyCase:
    """Prepares the evaluation step on one batch of full patches, which stays on the device."""
    experiment = case.experiment
    mesh = experiment.make_mesh(case.patch_px)
    noise = random_batch((case.batch_size,), case.px, with_instances=experiment.scores_instances)
    batch = put_batch(noise, mesh)
    variables = put_state(
        experiment.init_state(experiment.static_arguments(steps_per_epoch=1)).variables, mesh
    )
    jitted = compile_evaluation_step(
        experiment.model,
        experiment.evaluation_objective,
        mesh,
        head=experiment.head,
        has_void=case.has_void,
        stain=noise_target(experiment.config.eval.stain_normalization),
    )
    program, compile_s, origin = cached_compile(jitted, variables, batch)

    def advance(dispatches: int) -> None:
        results = [program(variables, batch) for _ in range(dispatches)]
        jax.block_until_ready(results)

    advance(1)
    return ReadyCase(Mode(advance, images=case.batch_size), program, compile_s, origin, close=lambda: None)


def _ready_training_loop(case: Case, plan: DataPlan) -> ReadyCase:
    """Prepares the training loop of `train` with logs and checkpoints, in a temporary folder; without validation."""
    config = case.experiment.config.as_json()
    config["train"]["feed"] = case.feed
    experiment = read_experiment(config)
    settings = experiment.config.train
    mesh = experiment.make_mesh(case.patch_px)
    steps = resolved_steps_per_dispatch(settings.steps_per_dispatch, mesh)
    schedule = _whole_dispatches(
        make_schedule(
            len(plan.splits.train),
            epochs=_EPOCHS,
            patch_px=case.patch_px,
            tile_px=settings.tile_px,
            batch_size=settings.batch_size,
            log_every_steps=settings.log_every_steps,
            checkpoint_every_steps=settings.checkpoint_every_steps,
        ),
        steps,
    )
    steps = min(steps, schedule.steps_per_epoch)
    data = plan.read(["train"]) if case.feed == "device" else plan.open(["train"])
    static = experiment.static_arguments(schedule.steps_per_epoch, has_void=case.has_void)
    with contextlib.ExitStack() as stack:
        folder = RunFolder(pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())))
        checkpoints = stack.enter_context(open_checkpoints(folder.checkpoints))
        watch = Stopwatch()
        run = TrainingRun(
            experiment=experiment,
            schedule=schedule,
            data=data,
            feed=make_training_feed(experiment, data, mesh, schedule),
            mesh=mesh,
            folder=folder,
            static=static,
            evaluator=make_evaluator(
                experiment,
                mesh,
                has_void=case.has_void,
                stain=noise_target(experiment.config.eval.stain_normalization),
            ),
            weights=None,
            programs=CompiledSteps(),
            watch=watch,
        )
        observer = stack.enter_context(
            contextlib.closing(
                RunObserver(
                    folder,
                    schedule,
                    done_steps=0,
                    batch_size=case.batch_size,
                    learning_rate=experiment.config.train.lr,
                    silent=True,
                )
            )
        )
        close_epoch = compile_close_epoch(run)

        def end_epoch(state: TrainState, epoch: int) -> tuple[TrainState, float]:
            return close_epoch(state, np.float32(1.0)), float(epoch)

        hooks = dataclasses.replace(training_hooks(run, checkpoints, observer), end_epoch=end_epoch)
        fit = PacedFit(put_state(experiment.init_state(static), mesh), schedule, hooks)
        stack.callback(fit.close)
        fit.advance(1)
        origin = run.programs.origin
        assert origin is not None
        return ReadyCase(
            mode=Mode(fit.advance, images=steps * case.batch_size, steps=steps),
            program=run.programs.program(steps),
            compile_s=watch.seconds["program"],
            program_from=origin,
            close=stack.pop_all().close,
        )


def _whole_dispatches(schedule: Schedule, steps: int) -> Schedule:
    """Returns the schedule without the last steps of an epoch that do not fill a dispatch and need another program."""
    whole = schedule.steps_per_epoch // steps * steps
    return dataclasses.replace(schedule, steps_per_epoch=whole) if whole else schedule
