"""One training step of each paper model on the device at hand, lowered for accelerators, is the step of a CPU."""

import functools
import importlib

import jax
import numpy as np
import pytest

from configs import paper
from nucseg_jax.cli.profile_batch import random_batch
from nucseg_jax.experiment import read_experiment
from nucseg_jax.ops.lowering import traced_for
from nucseg_jax.training.step import train_step

PX, BATCH = 32, 4
# The one that compiles fastest runs in `make test`.
QUICK = "deeplabv3plus_resnet50"


def narrow(name):
    """The paper's model with an eighth of its width and one block a stage; nothing in its step is drawn."""
    config = importlib.import_module(f"configs.{name}").get_config()
    config.model.width, config.model.dropout, config.model.drop_connect = 0.125, 0.0, 0.0
    config.model.encoder_depths = (1,) * (3 if name.endswith("resnet50") else 5)
    config.augment.flips = config.augment.quarter_turns = False
    config.train.batch_size, config.train.tile_px = BATCH, PX
    return read_experiment(config)


def step_on(device, platform, experiment):
    """Losses, and what the step sums, with everything on one device."""
    static = experiment.static_arguments(steps_per_epoch=10)
    placed = jax.device_put(
        (experiment.init_state(static), random_batch((BATCH,), PX, with_instances=False)), device
    )
    with traced_for(platform):
        # A new function: JAX keeps traces of one.
        state, logs = jax.jit(functools.partial(train_step, static))(*placed)
    assert logs["loss"].devices() == {device}
    return jax.device_get((logs, state.epoch_sums.counts, state.batch_stats))


@pytest.mark.device
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == QUICK else pytest.mark.long) for name in paper.NAMES]
)
def test_a_step_lowered_for_accelerators_is_that_of_a_cpu(name):
    """Two programs that round differently; the norm of the gradient is not continuous where a ReLU's input is 0."""
    experiment = narrow(name)
    logs, counts, statistics = step_on(jax.devices()[0], "cuda", experiment)
    on_cpu, counts_on_cpu, statistics_on_cpu = step_on(jax.devices("cpu")[0], "cpu", experiment)
    for term, value in on_cpu.items():
        limit = 1e-2 if term == "gradient_norm" else 1e-4
        assert float(logs[term]) == pytest.approx(float(value), rel=limit), term
    # A pixel whose logit is 0 but for rounding may fall on either side.
    assert np.abs(counts.astype(np.int64) - counts_on_cpu).sum() <= 0.005 * BATCH * PX**2
    for one, other in zip(jax.tree.leaves(statistics), jax.tree.leaves(statistics_on_cpu), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
