"""The training step with a schedule by steps and an encoder that begins late."""

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
    """AdamW, three steps of warm-up, and an encoder that the first two steps leave alone."""
    parts = small(l2=0.0)
    static = dataclasses.replace(
        parts.static,
        optimizer=adamw_optimizer(lr=1e-3, weight_decay=0.05),
        lr_factor=cosine_schedule(total_steps=6, warmup_steps=3, final_factor=0.1),
        encoder_held_steps=2,
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
