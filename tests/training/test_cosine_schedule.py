"""Warm-up and cosine against their definition, and at their limits."""

import math

import jax
import pytest

from configs import base
from nucseg_jax.experiment import read_experiment
from nucseg_jax.training.cosine_schedule import cosine_schedule


def slow_factor(step, total, warmup, final):
    if step + 1 <= warmup:
        return (step + 1) / warmup
    share = (step + 1 - warmup) / (total - warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


@pytest.mark.parametrize(
    ("total", "warmup", "final"), [(10, 0, 0.0), (10, 3, 0.1), (7, 6, 0.5), (1, 0, 0.25), (40, 1, 0.01)]
)
def test_every_step_is_the_definition_also_beyond_the_end(total, warmup, final):
    factor = jax.jit(cosine_schedule(total_steps=total, warmup_steps=warmup, final_factor=final))
    for step in range(total + 3):
        assert float(factor(step)) == pytest.approx(slow_factor(step, total, warmup, final), abs=2e-7)
    assert float(factor(total - 1)) == pytest.approx(final, abs=1e-7)


def test_a_config_gives_it_epochs_in_steps():
    config = base.get_config()
    assert read_experiment(config).static_arguments(5).lr_factor is None
    config.train.update(schedule="cosine", epochs=4, warmup_epochs=0.5, final_lr_factor=0.2)
    factor = read_experiment(config).static_arguments(5).lr_factor
    assert [float(factor(step)) for step in (0, 1, 19)] == pytest.approx([0.5, 1.0, 0.2])
