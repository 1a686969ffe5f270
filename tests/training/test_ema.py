"""The average of weights against its definition, and where it begins."""

import jax
import numpy as np
import pytest

from nucseg_jax.training.ema import updated_ema
from nucseg_jax.training.state import stored_fields, with_modules


def of(value):
    return {"params": {"head": {"kernel": np.asarray(value, np.float32)}}}


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_it_is_the_recursion_with_a_decay_that_grows(decay):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 3))
    update = jax.jit(updated_ema, static_argnames="decay")
    ema, expected = of(np.ones(3)), np.ones(3)
    for step, value in enumerate(values):
        ema = update(ema, {**of(value), "constants": {}}, np.int32(step), decay=decay)
        share = min(decay, (1 + step) / (10 + step))
        expected = share * expected + (1 - share) * value
    np.testing.assert_allclose(ema["params"]["head"]["kernel"], expected, rtol=1e-5, atol=1e-6)
    assert ema.keys() == {"params"}


def test_what_does_not_change_keeps_its_bits():
    value = np.random.default_rng(1).normal(size=1000)
    ema = of(value)
    for step in (0, 7, 10_000):
        ema = updated_ema(ema, of(value), np.int32(step), decay=0.999)
    np.testing.assert_array_equal(ema["params"]["head"]["kernel"], np.float32(value))


def test_it_begins_as_the_weights_that_training_begins_with(small):
    state = jax.device_get(small().state())
    state = state.replace(ema={"params": state.params, "batch_stats": state.batch_stats})
    head = jax.tree.map(lambda leaf: leaf + 1, state.params["head"])
    state = with_modules(state, {"params": {"head": head}})
    jax.tree.map(np.testing.assert_array_equal, state.evaluated_variables, state.variables)
    jax.tree.map(np.testing.assert_array_equal, state.ema["params"]["head"], head)


def test_a_state_without_it_is_stored_as_earlier_versions_stored_it(small):
    fields = ("step", "params", "batch_stats", "constants", "opt_state", "plateau", "epoch_sums")
    assert tuple(stored_fields(small().state())) == fields
