"""The training step with a schedule by steps, an encoder that begins late, and averaged weights."""

import dataclasses

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_batch, put_state
from nucseg_jax.training.adamw import adamw_optimizer
from nucseg_jax.training.cosine_schedule import cosine_schedule
from tests.training.conftest import Small


@pytest.fixture(scope="module")
def recipe(small):
    """AdamW, three steps of warm-up, an encoder that the first two steps leave alone, and averages."""
    parts = small(l2=0.0)
    static = dataclasses.replace(
        parts.static,
        optimizer=adamw_optimizer(lr=1e-3, weight_decay=0.05),
        lr_factor=cosine_schedule(total_steps=6, warmup_steps=3, final_factor=0.1),
        encoder_held_steps=2,
        ema_decay=0.25,
    )
    return Small(static, parts.plateau)


def flat(tree):
    return {"/".join(path): np.asarray(leaf) for path, leaf in flatten_dict(jax.device_get(tree)).items()}


def changed(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_the_encoder_keeps_its_bits_until_its_step_while_all_else_and_its_statistics_move(recipe):
    state = recipe.state()
    batch = put_batch(recipe.batch(), make_mesh(1))
    for step in range(4):
        params, statistics = flat(state.params), flat(state.batch_stats)
        of_encoder = {name for name in params if name.startswith("encoder/")}
        state, _ = recipe.step(1)(state, batch)
        held = of_encoder if step < 2 else set()
        assert changed(params, flat(state.params)) == params.keys() - held
        assert changed(statistics, flat(state.batch_stats)) == statistics.keys()


def test_the_moments_of_a_held_encoder_follow_its_gradients(recipe):
    """As those of an encoder that is not held: the parameters, and so the gradients, of the first step are the same."""
    batch = put_batch(recipe.batch(), make_mesh(1))
    state, _ = recipe.step(1)(recipe.state(), batch)
    late = recipe.state()
    late = late.replace(step=put_state(np.int32(3), make_mesh(1)))
    other, _ = recipe.step(1)(late, batch)
    mu, expected = (flat(each.opt_state[0][0].mu) for each in (state, other))
    assert np.abs(mu["encoder/conv1_conv/kernel"]).max() > 0
    for name, moment in mu.items():
        np.testing.assert_array_equal(moment, expected[name], err_msg=name)


def test_the_schedule_multiplies_updates_by_the_step_and_not_by_the_plateau(recipe):
    mesh = make_mesh(1)
    batch, moved = put_batch(recipe.batch(), mesh), []
    start = flat(recipe.state().params)["head/kernel"]
    for step, plateau in ((0, 1.0), (1, 1.0), (1, 0.25)):
        state = recipe.state()
        state = state.replace(
            step=put_state(np.int32(step), mesh),
            plateau=state.plateau._replace(scale=put_state(np.float32(plateau), mesh)),
        )
        state, _ = recipe.step(1)(state, batch)
        moved.append(flat(state.params)["head/kernel"] - start)
    np.testing.assert_allclose(moved[1], 2 * moved[0], rtol=1e-3, atol=1e-7)
    np.testing.assert_array_equal(moved[1], moved[2])


def test_the_average_follows_parameters_and_statistics_and_is_what_is_evaluated(recipe):
    """The decay is .1, 2 / 11 and then .25."""
    state = recipe.state()
    batch = put_batch(recipe.batch(), make_mesh(1))
    params, statistics = flat(state.params), flat(state.batch_stats)
    expected = {**params, **{f"moving/{name}": value for name, value in statistics.items()}}
    for decay in (0.1, 2 / 11, 0.25, 0.25):
        state, _ = recipe.step(1)(state, batch)
        moving = {f"moving/{name}": value for name, value in flat(state.batch_stats).items()}
        for name, value in {**flat(state.params), **moving}.items():
            expected[name] = decay * np.float64(expected[name]) + (1 - decay) * value
    found = state.evaluated_variables
    assert found.keys() == state.variables.keys()
    statistics = {f"moving/{name}": value for name, value in flat(found["batch_stats"]).items()}
    for name, value in {**flat(found["params"]), **statistics}.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert changed(flat(state.params), flat(found["params"]))


@pytest.mark.long
def test_averages_do_not_change_what_is_trained(recipe):
    """Of two programs, so up to rounding, after one step."""
    batch = put_batch(recipe.batch(), make_mesh(1))
    without = Small(dataclasses.replace(recipe.static, ema_decay=0.0), recipe.plateau)
    states = [parts.step(1)(parts.state(), batch)[0] for parts in (recipe, without)]
    assert states[1].ema is None
    assert states[1].evaluated_variables is not None
    for name, value in flat(states[0].params).items():
        np.testing.assert_allclose(value, flat(states[1].params)[name], rtol=0, atol=1e-5, err_msg=name)
