"""Residual branches dropped in training: where and how often as Keras does, and what that does to an image."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from nucseg_jax.models.build import ENCODERS, build_encoder
from nucseg_jax.models.efficientnet import EfficientNet, efficientnet_variant
from nucseg_jax.models.layers import BatchNorm
from tests.parity.frozen import frozen_images
from tests.parity.frozen_weights import frozen_variables


def rates_by_block(encoder):
    """'block2b' -> rate, of every block whose branch may be dropped, without computing anything."""
    rates = {}
    last_norm = ""

    def note(call, arguments, options, context):
        nonlocal last_norm
        if isinstance(context.module, BatchNorm):
            last_norm = context.module.name
        elif isinstance(context.module, nn.Dropout) and context.module.rate > 0:
            assert last_norm.endswith("_project_bn")
            rates[last_norm.removesuffix("_project_bn")] = context.module.rate
        return call(*arguments, **options)

    with nn.intercept_methods(note):
        image = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
        jax.eval_shape(lambda x: encoder.init(jax.random.key(0), x, train=False), image)
    return rates


@pytest.mark.parity
@pytest.mark.parametrize("name", [name for name in ENCODERS if name.startswith("efficientnet")])
def test_rates_are_those_of_keras(name, keras_networks):
    layers = [
        layer for layer in keras_networks.build(name, 64, 64).layers if type(layer).__name__ == "Dropout"
    ]
    assert {layer.noise_shape for layer in layers} == {(None, 1, 1, 1)}
    ours = rates_by_block(build_encoder(name, extent="whole", drop_connect=0.2))
    assert ours == pytest.approx(
        {layer.name.removesuffix("_drop"): layer.rate for layer in layers}, abs=1e-15
    )


def test_a_branch_is_dropped_for_a_whole_image_or_scaled_up():
    encoder = EfficientNet(efficientnet_variant(0.25, 0.5), extent="whole", drop_connect=0.9)
    variables, image = frozen_variables(encoder), frozen_images(16, 32, 32)

    @jax.jit
    def forward(variables, key):
        _, updated = encoder.apply(
            variables,
            image,
            train=True,
            mutable=["batch_stats", "intermediates"],
            rngs={"dropout": key},
            capture_intermediates=lambda module, _: isinstance(module, BatchNorm | nn.Dropout),
        )
        return {name: result["__call__"][0] for name, result in updated["intermediates"].items()}

    results = jax.device_get(forward(variables, jax.random.key(1)))
    # The first block's branch is kept always, at rate 0.
    rates = list(rates_by_block(encoder).items())
    assert len(rates) == len([name for name in results if name.startswith("Dropout")]) - 1 == 3
    for index, (block, rate) in enumerate(rates, start=1):
        branch, result = results[f"{block}_project_bn"], results[f"Dropout_{index}"]
        kept = np.any(result, axis=(1, 2, 3))
        assert 0 < kept.sum() < 16, block
        np.testing.assert_allclose(result[kept], branch[kept] / (1 - rate), rtol=1e-5)
