"""The optimizer against Keras's formulas written out in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nucseg_jax.training.optimizer import (
    l2_mask,
    l2_penalty,
    paper_optimizer,
    plateau_schedule,
    scale_by_keras_adam,
)

PARAMS = {
    "encoder": {"conv1": {"kernel": np.array([0.5, -1.0]), "bias": np.array([0.1])}},
    "decoder": {
        "level1": {
            "conv": {"kernel": np.array([2.0, 3.0]), "bias": np.array([0.3])},
            "batch_norm": {"scale": np.ones(1)},
        },
        "level1_transpose": {"kernel": np.array([1.5])},
    },
    "head": {"kernel": np.array([4.0]), "bias": np.array([0.0])},
}


@pytest.fixture
def params():
    with jax.enable_x64(True):
        yield jax.tree.map(jnp.asarray, PARAMS)


def keras_adam(weights, gradients, *, lr, l2):
    """Keras 2.15 Adam on w with kernel_regularizer=l2(l2), in numpy, step by step."""
    m = v = np.zeros_like(weights)
    for t, gradient in enumerate(gradients, start=1):
        total = gradient + 2 * l2 * weights
        m = 0.9 * m + 0.1 * total
        v = 0.999 * v + 0.001 * total**2
        alpha = lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights = weights - alpha * m / (np.sqrt(v) + 1e-7)
    return weights


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_ten_steps_are_keras_steps_also_where_epsilon_matters(params, scale):
    rng = np.random.default_rng(0)
    optimizer = paper_optimizer(lr=1e-3, l2=0.02)
    gradients = [
        jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) * scale), params) for _ in range(10)
    ]
    state = optimizer.init(params)
    found = params
    update = jax.jit(optimizer.update)
    for gradient in gradients:
        updates, state = update(gradient, state, found)
        found = optax.apply_updates(found, updates)
    mask = l2_mask(params, "added")
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):

        def pick(tree, path=path):
            for key in path:
                tree = tree[key.key]
            return np.asarray(tree)

        expected = keras_adam(
            np.asarray(leaf), [pick(g) for g in gradients], lr=1e-3, l2=0.02 if pick(mask) else 0.0
        )
        np.testing.assert_allclose(pick(found), expected, rtol=0, atol=1e-9)


def test_it_is_not_optax_adam_in_the_first_steps():
    gradient = {"w": jnp.array([1e-6])}
    ours = scale_by_keras_adam(b1=0.9, b2=0.999, epsilon=1e-7)
    theirs = optax.scale_by_adam(eps=1e-7)
    first = [float(t.update(gradient, t.init(gradient))[0]["w"][0]) for t in (ours, theirs)]
    # Both moments are bias-corrected to 1e-6; Keras's epsilon is 1e-7 / sqrt(0.001) in that form.
    assert first[0] == pytest.approx(1e-6 / (1e-6 + 1e-7 / np.sqrt(0.001)), rel=1e-4)
    assert first[1] == pytest.approx(1e-6 / (1e-6 + 1e-7), rel=1e-4)


def test_l2_acts_on_new_kernels_or_on_all_kernels_and_on_nothing_else(params):
    def names(scope):
        flat = jax.tree_util.tree_leaves_with_path(l2_mask(params, scope))
        return {jax.tree_util.keystr(path, simple=True, separator="/") for path, chosen in flat if chosen}

    added = {"decoder/level1/conv/kernel", "decoder/level1_transpose/kernel", "head/kernel"}
    assert names("added") == added
    assert names("all") == added | {"encoder/conv1/kernel"}
    penalty = l2_penalty(params, l2_mask(params, "added"), 0.02)
    assert float(penalty) == pytest.approx(0.02 * (4 + 9 + 2.25 + 16))


def test_the_gradient_of_the_penalty_is_what_the_optimizer_adds(params):
    mask = l2_mask(params, "added")
    gradient = jax.grad(lambda p: l2_penalty(p, mask, 0.02))(params)
    decay = optax.add_decayed_weights(2 * 0.02, mask)
    zero = jax.tree.map(jnp.zeros_like, params)
    added, _ = decay.update(zero, decay.init(params), params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), gradient, added)


def keras_plateau(values, *, factor, patience, min_delta, min_scale):
    """keras.callbacks.ReduceLROnPlateau, mode 'min', cooldown 0, on a rate of 1."""
    best, wait, rate, rates = np.inf, 0, 1.0, []
    for value in values:
        if value < best - min_delta:
            best, wait = value, 0
        else:
            wait += 1
            if wait >= patience:
                if rate > min_scale:
                    rate = max(rate * factor, min_scale)
                wait = 0
        rates.append(rate)
    return rates


def scales(values, **options):
    schedule = plateau_schedule(**options)
    state = schedule.init({"w": jnp.zeros(())})
    update = jax.jit(lambda state, value: schedule.update({}, state, value=value)[1])
    found = []
    for value in values:
        state = update(state, jnp.float32(value))
        found.append(float(state.scale))
    return found


OPTIONS = dict(factor=0.5, patience_epochs=3, min_delta=1e-4, min_scale=0.1)


def test_steady_improvement_leaves_the_rate_alone():
    assert scales(np.linspace(1, 0.5, 40), **OPTIONS) == [1.0] * 40


def test_a_plateau_lowers_the_rate_as_in_keras():
    rng = np.random.default_rng(0)
    for _ in range(3):
        # Differences well away from min_delta, so that float32 and float64 decide alike.
        values = np.round(np.abs(rng.normal(size=40)), 2)
        expected = keras_plateau(values, factor=0.5, patience=3, min_delta=1e-4, min_scale=0.1)
        np.testing.assert_allclose(scales(values, **OPTIONS), expected, rtol=1e-6)
        assert min(expected) == 0.1


@pytest.mark.parametrize("loss", [0.01, 1.0, 10.0])
def test_min_delta_is_absolute_and_an_improvement_below_it_is_none(loss):
    """A share of 1e-4 would be 1e-6 of the smallest of these losses, and 1e-3 of the largest."""
    assert scales([loss, loss - 5e-5, loss - 7e-5, loss - 9e-5], **OPTIONS)[-1] == 0.5
    assert scales([loss - 2e-4 * epoch for epoch in range(4)], **OPTIONS)[-1] == 1.0
