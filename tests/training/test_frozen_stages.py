"""Frozen stages and the encoder's learning rate, on real steps and on the optimizer's state."""

import jax
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from nucseg_jax.models.cost import forward_flops
from nucseg_jax.models.frozen_stages import is_frozen
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_batch

FROZEN = ("conv1", "conv2")


def flat(tree):
    return {"/".join(path): np.asarray(leaf) for path, leaf in flatten_dict(tree).items()}


def after_steps(small, steps=3):
    before = small.state()
    kept = flat(jax.device_get(before.params)), flat(jax.device_get(before.batch_stats))
    state = before
    batch = put_batch(small.batch(), make_mesh(1))
    for _ in range(steps):
        state, logs = small.step(1)(state, batch)
    return kept, (flat(state.params), flat(state.batch_stats)), state, logs


def changed(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


@pytest.mark.parametrize("freeze_statistics", [True, False])
def test_frozen_stages_keep_their_bits_and_everything_else_moves(small, freeze_statistics):
    # L2 of all layers would move a frozen kernel if anything did.
    net = (
        small(l2_scope="all", frozen_stages=FROZEN, frozen_statistics=FROZEN)
        if freeze_statistics
        else small(frozen_stages=FROZEN)
    )
    (params, stats), (new_params, new_stats), _, logs = after_steps(net, steps=1 if freeze_statistics else 3)
    frozen = {name for name in params if is_frozen(name, FROZEN)}
    assert 0 < len(frozen) < len(params)
    assert changed(params, new_params) == params.keys() - frozen
    frozen_stats = {name for name in stats if is_frozen(name, FROZEN)}
    assert changed(stats, new_stats) == stats.keys() - (frozen_stats if freeze_statistics else set())
    if freeze_statistics:
        # So the reported penalty is the one whose gradient is taken.
        trained = [
            np.sum(np.square(value, dtype=np.float64))
            for name, value in params.items()
            if name.endswith("/kernel") and name not in frozen
        ]
        assert float(logs["l2_penalty"]) == pytest.approx(net.static.l2 * sum(trained), rel=1e-5)


def test_frozen_parameters_have_no_moments_and_others_do(small):
    _, _, state, _ = after_steps(small(frozen_stages=FROZEN), steps=1)
    moments = [
        leaf
        for leaf in jax.tree.leaves(
            state.opt_state, is_leaf=lambda leaf: isinstance(leaf, optax.ScaleByAdamState)
        )
        if isinstance(leaf, optax.ScaleByAdamState)
    ]
    assert len(moments) == 1
    for tree in (moments[0].mu, moments[0].nu):
        with_moments = {"/".join(path) for path, leaf in flatten_dict(tree).items() if hasattr(leaf, "shape")}
        assert with_moments == {name for name in flat(state.params) if not is_frozen(name, FROZEN)}


def test_trained_parameters_step_as_if_the_frozen_ones_were_no_parameters(small):
    """The first step from equal weights is equal wherever both train; a frozen net has the smaller gradient.

    Within 2 % of a step of lr: they are two programs, and Adam's first step makes much of gradients that are rounding.
    """
    (params, _), (found, _), _, logs = after_steps(small(frozen_stages=FROZEN), steps=1)
    (_, _), (expected, _), _, reference_logs = after_steps(small(), steps=1)
    for name in params:
        if not is_frozen(name, FROZEN):
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=2e-5, err_msg=name)
    assert logs["gradient_norm"] < reference_logs["gradient_norm"]


def test_the_encoder_steps_by_its_factor(small):
    """Of the same gradients, which are here those of a parabola."""
    params = jax.device_get(small().state().params)
    half, full = (
        flat(small(encoder_lr_factor=factor).static.optimizer.update(params, state, params)[0])
        for factor in (0.5, 1.0)
        for state in [small(encoder_lr_factor=factor).static.optimizer.init(params)]
    )
    for name, step in full.items():
        factor = 0.5 if name.startswith("encoder/") else 1.0
        np.testing.assert_allclose(half[name], factor * step, rtol=1e-6, err_msg=name)


def test_the_backward_pass_of_a_frozen_encoder_is_not_computed(small):
    """It takes twice the forward pass's arithmetic; the step has become cheaper by about that."""

    def flops(net):
        state = jax.eval_shape(lambda: net.state())
        return net.step(1).lower(state, net.batch()).cost_analysis()["flops"]

    encoder = small().static.model.encoder
    saved = flops(small()) - flops(small(frozen_stages=encoder.stages, frozen_statistics=encoder.stages))
    images, px = small().batch().image.shape[:2]
    assert saved > 1.6 * images * forward_flops(encoder, px=px)
