"""AdamW against its definition in float64, and what decays."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from nucseg_jax.training.adamw import adamw_optimizer, kernel_mask

LR, DECAY = 1e-2, 0.1
SHAPES = {
    "encoder/conv1/kernel": (3, 2),
    "encoder/conv1/bias": (2,),
    "encoder/conv2_block/kernel": (2, 2),
    "decoder/block/layer_scale": (4,),
    "decoder/norm/scale": (4,),
    "head/kernel": (4, 1),
}


def tree(of):
    return unflatten_dict({tuple(name.split("/")): of(shape) for name, shape in SHAPES.items()})


def flat(nested):
    return {"/".join(path): np.asarray(leaf) for path, leaf in flatten_dict(nested).items()}


def slow_adamw(weight, gradients, *, lr, decay):
    """Algorithm 2 of arXiv:1711.05101 with a constant schedule whose multiplier is the learning rate."""
    m = v = np.zeros_like(weight)
    for t, gradient in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        direction = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)
        weight = weight - lr * (direction + decay * weight)
    return weight


@pytest.mark.parametrize("frozen_stages", [(), ("conv1",)])
def test_ten_steps_are_the_definition_with_decay_on_kernels_alone(frozen_stages):
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        params = start = tree(lambda shape: jnp.asarray(rng.normal(size=shape)))
        gradients = [tree(lambda shape: jnp.asarray(rng.normal(size=shape))) for _ in range(10)]
        optimizer = adamw_optimizer(
            lr=LR, weight_decay=DECAY, encoder_lr_factor=0.5, frozen_stages=frozen_stages
        )
        state, update = optimizer.init(params), jax.jit(optimizer.update)
        for gradient in gradients:
            updates, state = update(gradient, state, params)
            params = optax.apply_updates(params, updates)
    found, start = flat(params), flat(start)
    for name in SHAPES:
        lr = LR * (0.5 if name.startswith("encoder/") else 1)
        if name.startswith("encoder/conv1/") and frozen_stages:
            np.testing.assert_array_equal(found[name], start[name])
            continue
        decay = DECAY if name.endswith("/kernel") else 0.0
        expected = slow_adamw(start[name], [flat(g)[name] for g in gradients], lr=lr, decay=decay)
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-10)


def test_only_kernels_decay():
    mask = flat(kernel_mask(tree(np.zeros)))
    assert {name for name, chosen in mask.items() if chosen} == {n for n in SHAPES if n.endswith("kernel")}


def test_its_first_state_is_that_of_optax():
    params = tree(lambda shape: np.ones(shape, np.float32))
    found = adamw_optimizer(lr=LR, weight_decay=DECAY).init(params)
    (expected,) = optax.chain(optax.adamw(LR, weight_decay=DECAY, mask=kernel_mask)).init(params)
    jax.tree.map(np.testing.assert_array_equal, found, (expected,))
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(found))
