"""The package's side of the benchmark: the training step of `launch.py train`, and the jitted model."""

import time
from typing import Any

import jax
import numpy as np

from benchmarks.versus.case import Case, Contender, model_config, pixels
from nucseg_jax.data.batch import Batch
from nucseg_jax.experiment import Experiment, read_experiment
from nucseg_jax.models.initial import initial_variables
from nucseg_jax.run_folder.environment import describe_environment
from nucseg_jax.runtime.mesh import dispatch_sharded, make_mesh
from nucseg_jax.runtime.placement import put_state
from nucseg_jax.training.feed import resolved_steps_per_dispatch
from nucseg_jax.training.step import compile_train_steps


def prepare(case: Case) -> Contender:
    """Builds and compiles; the compilation is timed here, without the persistent cache."""
    experiment = read_experiment(model_config(case))
    run, steps_per_dispatch, compile_s = (training if case.mode == "train" else inference)(experiment, case)
    device = jax.devices()[0]
    on_cpu = case.device == "cpu"
    return Contender(
        run=run,
        steps_per_dispatch=steps_per_dispatch,
        compile_s=compile_s,
        reset_peak_memory=None,
        # Cannot be reset: the compiler's trials are in it.
        peak_device_bytes=None if on_cpu else lambda: device.memory_stats()["peak_bytes_in_use"],
        about=describe_environment(),
    )


def training(experiment: Experiment, case: Case) -> tuple[Any, int, float]:
    """The package's own step on one fixed batch: see `Contender` for `run`, `steps_per_dispatch`, `compile_s`."""
    mesh = make_mesh(1)
    # Never at an epoch's end.
    static = experiment.static_arguments(steps_per_epoch=2**30)
    state = put_state(experiment.init_state(static), mesh)
    image, label = pixels(case)
    batch = Batch(
        image=image,
        label=label,
        valid=np.ones(case.batch_size, bool),
        index=np.arange(case.batch_size, dtype=np.int32),
        group=np.zeros(case.batch_size, np.int32),
    )
    steps_per_dispatch = resolved_steps_per_dispatch(0, mesh)
    repeated = jax.tree.map(lambda leaf: np.stack([leaf] * steps_per_dispatch), batch)
    tickets = jax.device_put(repeated, dispatch_sharded(mesh))
    start = time.perf_counter()
    train_steps = compile_train_steps(static, mesh, fetch=lambda source, ticket: ticket)
    program = train_steps.lower(state, (), tickets).compile()
    compile_s = time.perf_counter() - start

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps // steps_per_dispatch):
            state, logs = program(state, (), tickets)
        jax.block_until_ready((state, logs))

    return run, steps_per_dispatch, compile_s


def inference(experiment: Experiment, case: Case) -> tuple[Any, int, float]:
    """The jitted model to logits on one fixed batch; as `training`."""
    image = jax.device_put(pixels(case)[0])
    model = experiment.model
    variables = jax.device_put(initial_variables(model, experiment.config.train.seed))
    start = time.perf_counter()
    apply = jax.jit(lambda variables, image: model.apply(variables, image, train=False))
    forward = apply.lower(variables, image).compile()
    compile_s = time.perf_counter() - start

    def run(steps: int) -> None:
        for _ in range(steps):
            logits = forward(variables, image)
        logits.block_until_ready()

    return run, 1, compile_s
