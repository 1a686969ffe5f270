"""What narrow models do: gradients, modes, dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.core.tree import leaf_name
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.models.preprocessing import CAFFE, preprocess
from nucseg_jax.models.tables import build_segmenter

PX = 64


def narrow(decoder, dtype=jnp.float32, dropout=0.5, num_classes=1):
    return build_segmenter(
        encoder="resnet50",
        decoder=decoder,
        num_classes=num_classes,
        dropout=dropout,
        width=0.125,
        encoder_depths=(1, 2, 1),
        moving=MovingStatistics(0.9),
        dtype=dtype,
    )


def images(N=2):
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (N, PX, PX, 3)), jnp.uint8)


@pytest.mark.parametrize("decoder", ["unet", "deeplabv3plus"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradients_are_finite_and_reach_every_parameter(decoder, dtype):
    model = narrow(decoder, dtype, dropout=0.0)
    variables = jax.jit(lambda x: model.init(jax.random.key(0), x, train=False))(images())

    @jax.jit
    def gradient(params):
        def loss(params):
            logits, _ = model.apply(
                {**variables, "params": params}, images(), train=True, mutable=["batch_stats"]
            )
            return jnp.mean(jnp.square(logits - 1.0))

        return jax.grad(loss)(params)

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(variables["params"])):
        assert leaf.dtype == jnp.float32
        assert np.isfinite(leaf).all(), leaf_name(path)
        # A bias right before a batch norm is taken out again by its mean: no true gradient.
        if not leaf_name(path).endswith("bias") or "bn" in leaf_name(path):
            assert np.any(leaf), leaf_name(path)


@pytest.mark.parametrize("decoder", ["unet", "deeplabv3plus"])
def test_inference_uses_moving_statistics_and_no_dropout(decoder):
    """So an image's logits do not depend on the others in its batch; in training they do."""
    model = narrow(decoder)
    variables = jax.jit(lambda x: model.init(jax.random.key(0), x, train=False))(images())
    infer = jax.jit(lambda x: model.apply(variables, x, train=False))
    pair = infer(images())
    np.testing.assert_allclose(pair[:1], infer(images()[:1]), rtol=1e-4, atol=1e-4)

    @jax.jit
    def train(x, key):
        return model.apply(variables, x, train=True, mutable=["batch_stats"], rngs={"dropout": key})

    logits, updated = train(images(), jax.random.key(1))
    assert not np.allclose(logits[:1], train(images()[:1], jax.random.key(1))[0], atol=1e-3)
    assert not np.allclose(logits, train(images(), jax.random.key(2))[0], atol=1e-3)
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), variables["batch_stats"], updated["batch_stats"])
    assert all(jax.tree.leaves(moved))


def test_preprocessing_is_keras_caffe_mode():
    """RGB (10, 20, 30) -> BGR minus (103.939, 116.779, 123.68)."""
    pixel = jnp.array([10.0, 20.0, 30.0]).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(
        preprocess(pixel, CAFFE).ravel(), [30 - 103.939, 20 - 116.779, 10 - 123.68], rtol=1e-6
    )


def test_unet_dropout_rates_are_those_of_the_text():
    """0.7 at the bridge, 0.5 in the two deep levels, 0.2 in the two shallow ones (section 3.1, Table 1)."""
    decoder = build_segmenter(
        encoder="resnet50",
        decoder="unet",
        num_classes=1,
        dropout=0.7,
        width=1.0,
        encoder_depths=(),
        moving=MovingStatistics(0.99),
        dtype=None,
    ).decoder
    shares = (decoder.variant.bridge_dropout, *decoder.variant.level_dropout)
    assert [round(share * decoder.dropout, 6) for share in shares] == [0.7, 0.5, 0.5, 0.2, 0.2]
