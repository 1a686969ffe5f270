"""Prepares the cases of `profile`: the bare step, the training loop with a feed, the evaluation step."""

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Callable
from typing import Literal

import jax
import numpy as np

from nucseg_jax.cli.training_run import TrainingRun, compile_close_epoch, training_hooks
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.prepared import DataPlan
from nucseg_jax.evaluation.step import compile_evaluation_step
from nucseg_jax.experiment import Experiment, read_experiment
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

Feed = Literal["synthetic", "device", "host"]
FEEDS: tuple[Feed, ...] = ("synthetic", "device", "host")
# Longer than anybody measures.
_EPOCHS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Case:
    """A row of the profile.

    Attributes:
      work: training or evaluation.
      feed: synthetic = one batch that stays on the device; device, host = the training loop.
      experiment: with the row's batch size and dtype in its settings.
      patch_px: side of a full patch.
      has_void: whether labels have pixels that nobody annotated: their programs differ.
    """

    work: Literal["training", "evaluation"]
    feed: Feed
    experiment: Experiment
    patch_px: int
    has_void: bool = False

    @property
    def batch_size(self) -> int:
        """Examples a step."""
        return self.experiment.config.train.batch_size

    @property
    def dtype(self) -> str:
        """The dtype of computation."""
        return self.experiment.config.train.dtype

    @property
    def px(self) -> int:
        """Side of an example."""
        return self.experiment.config.train.tile_px if self.work == "training" else self.patch_px


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


def cases_of(
    experiment: Experiment,
    feeds: tuple[Feed, ...],
    batch_sizes: tuple[int, ...],
    dtypes: tuple[str, ...],
    *,
    patch_px: int,
    has_void: bool = False,
) -> list[Case]:
    """Returns the cases of every feed and of the evaluation step, for every batch size and dtype.

    Args:
      experiment: what to measure.
      feeds, batch_sizes, dtypes: each is combined with each.
      patch_px, has_void: of the data set.

    Raises:
      UserError: a batch size or a dtype that a config would not take either.
    """
    cases = []
    for dtype in dtypes:
        for batch_size in batch_sizes:
            config = experiment.config.as_json()
            config["train"] |= {"batch_size": batch_size, "dtype": dtype}
            config["eval"]["batch_size"] = batch_size
            variant = read_experiment(config)
            variant.make_mesh(patch_px)
            cases += [Case("training", feed, variant, patch_px, has_void) for feed in feeds]
            cases.append(Case("evaluation", "synthetic", variant, patch_px, has_void))
    return cases


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
    noise = _random_batch((steps, case.batch_size), case.px, with_instances=experiment.scores_instances)
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


def _ready_evaluation(case: Case) -> ReadyCase:
    """Prepares the evaluation step on one batch of full patches, which stays on the device."""
    experiment = case.experiment
    mesh = experiment.make_mesh(case.patch_px)
    noise = _random_batch((case.batch_size,), case.px, with_instances=experiment.scores_instances)
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
            feed=experiment.training_feed(data, mesh, schedule),
            mesh=mesh,
            folder=folder,
            static=static,
            evaluator=experiment.evaluator(mesh, has_void=case.has_void),
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


def _random_batch(leading: tuple[int, ...], px: int, *, with_instances: bool) -> Batch:
    """Returns a batch of noise, every leaf with these leading axes; nuclei are squares of 16 px."""
    rng = np.random.default_rng(0)
    squares = np.arange(1, 1 + (-(-px // 16)) ** 2, dtype=np.uint16).reshape(-(-px // 16), -1)
    instance = np.kron(squares, np.ones((16, 16), np.uint16))[:px, :px]
    return Batch(
        image=rng.integers(0, 256, (*leading, px, px, 3), np.uint8),
        label=rng.integers(0, 2, (*leading, px, px), np.uint8),
        valid=np.ones(leading, bool),
        index=np.broadcast_to(np.arange(leading[-1], dtype=np.int32), leading),
        group=np.zeros(leading, np.int32),
        instance=np.broadcast_to(instance, (*leading, px, px)) if with_instances else None,
    )
