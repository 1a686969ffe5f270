"""ConvNeXt against a slow NumPy reference and the published sizes; tests/parity compares with the libraries."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.models.build import build_encoder
from nucseg_jax.models.convnext import ConvNeXt, ConvNeXtVariant
from nucseg_jax.models.cost import count_parameters
from nucseg_jax.models.initial import abstract_variables, initial_variables

SMALL = ConvNeXtVariant(depths=(1, 1, 1, 1), features=(8, 16, 24, 32))


@pytest.mark.parametrize(
    ("name", "total", "classes"),
    # torchvision's num_params of its models with 1,000 classes.
    [
        ("convnext_tiny", 28_589_128, 768),
        ("convnext_small", 50_223_688, 768),
        ("convnext_base", 88_591_464, 1024),
    ],
)
def test_parameters_are_the_published_ones_without_the_classifier(name, total, classes):
    count = count_parameters(abstract_variables(build_encoder(name, extent="whole"), px=64))
    classifier = 2 * classes + classes * 1000 + 1000
    assert (count.trainable, count.moving, count.constant) == (total - classifier, 0, 0)


def layer_norm(x, leaves):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6) * leaves["scale"] + leaves["bias"]


def depthwise(x, kernel, bias, dilation):
    N, H, W, C = x.shape
    result = np.zeros_like(x)
    for n, h, w, c in np.ndindex(N, H, W, C):
        for row, column in np.ndindex(7, 7):
            y, z = h + (row - 3) * dilation, w + (column - 3) * dilation
            if 0 <= y < H and 0 <= z < W:
                result[n, h, w, c] += x[n, y, z, c] * kernel[row, column, 0, c]
    return result + bias


def block(x, params, name, dilation=1):
    """Figure 4 of the paper, value by value in float64."""
    leaves = {layer.removeprefix(name): values for layer, values in params.items() if layer.startswith(name)}
    y = depthwise(x, **leaves["conv_dw"], dilation=dilation)
    y = layer_norm(y, leaves["norm"])
    y = y @ leaves["mlp_fc1"]["kernel"][0, 0] + leaves["mlp_fc1"]["bias"]
    y = 0.5 * y * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))
    y = y @ leaves["mlp_fc2"]["kernel"][0, 0] + leaves["mlp_fc2"]["bias"]
    return x + leaves["layer_scale"]["gamma"] * y


def random_params(encoder):
    rng = np.random.default_rng(0)
    shapes = abstract_variables(encoder, px=32)["params"]
    return jax.tree.map(lambda leaf: rng.normal(0, 0.4, leaf.shape), shapes)


@pytest.mark.parametrize("output_stride", [32, 8])
def test_blocks_and_stem_are_the_slow_reference(output_stride):
    """In float64; at output stride 8 the blocks of stages_2 are dilated by 2."""
    with jax.enable_x64(True):
        encoder = ConvNeXt(SMALL, extent="whole", output_stride=output_stride)
        params = random_params(encoder)
        image = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3)).astype(np.float64)
        pyramid, state = jax.jit(
            lambda x: encoder.apply(
                {"params": params}, x, train=False, capture_intermediates=True, mutable=["intermediates"]
            )
        )(jnp.asarray(image))
    layers = {
        name: np.asarray(values["__call__"][0])
        for name, values in state["intermediates"].items()
        if name != "__call__"
    }

    pixels = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    patches = pixels.reshape(1, 8, 4, 8, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(1, 8, 8, 48)
    stem = patches @ params["stem_0"]["kernel"].reshape(48, -1) + params["stem_0"]["bias"]
    stem = layer_norm(stem, params["stem_1"])
    np.testing.assert_allclose(layers["stem_1"], stem, atol=1e-6)
    np.testing.assert_allclose(pyramid.stride4, block(stem, params, "stages_0_blocks_0_"), atol=1e-5)
    entry, dilation = layers["stages_2_downsample_1"], 1 if output_stride == 32 else 2
    found = pyramid.stride16 if output_stride == 32 else None
    expected = block(entry, params, "stages_2_blocks_0_", dilation)
    if found is None:
        found = layers["stages_2_blocks_0_layer_scale"] + entry
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_block_that_starts_is_nearly_its_shortcut():
    """Layer scale begins at 1e-6, so that a deep network begins as a shallow one."""
    encoder = ConvNeXt(SMALL, extent="cut")
    params = initial_variables(encoder, 0, px=32)["params"]
    gammas = [leaves["gamma"] for layer, leaves in params.items() if layer.endswith("_layer_scale")]
    assert len(gammas) == 3
    assert all(np.all(gamma == np.float32(1e-6)) for gamma in gammas)


def test_branches_are_dropped_for_whole_images_and_more_often_the_deeper():
    encoder = ConvNeXt(SMALL, extent="whole", drop_connect=0.6)
    assert [encoder.drop_rate(block) for block in range(4)] == pytest.approx([0.0, 0.2, 0.4, 0.6])
    # The cut network's blocks have the rates that they have in the whole one.
    assert encoder.clone(extent="cut").drop_rate(2) == pytest.approx(0.4)
    params = jax.tree.map(lambda leaf: leaf.astype(np.float32), random_params(encoder))
    image = jnp.asarray(np.random.default_rng(2).integers(0, 256, (32, 32, 32, 3)), jnp.uint8)

    @functools.partial(jax.jit, static_argnames="train")
    def deepest(key, train):
        _, state = encoder.apply(
            {"params": params},
            image,
            train=train,
            rngs={"dropout": key},
            capture_intermediates=lambda module, _: (
                "Dropout" in type(module).__name__ or (module.name or "").endswith("layer_scale")
            ),
            mutable=["intermediates"],
        )
        return {name: values["__call__"][0] for name, values in state["intermediates"].items()}

    layers = jax.device_get(deepest(jax.random.key(0), True))
    branch, result = layers["stages_3_blocks_0_layer_scale"], layers["Dropout_3"]
    kept = np.any(result, axis=(1, 2, 3))
    assert 0 < kept.sum() < 32
    np.testing.assert_allclose(result[kept], branch[kept] / 0.4, rtol=1e-5)
    inferred = jax.device_get(deepest(jax.random.key(0), False))
    np.testing.assert_array_equal(inferred["Dropout_3"], inferred["stages_3_blocks_0_layer_scale"])


@pytest.mark.parametrize("shape", [(1, 131, 197, 3), (1, 128, 192, 3)])
def test_strides_round_odd_sizes_down(shape):
    """As a convolution without padding does in PyTorch."""
    encoder = build_encoder("convnext_tiny", extent="whole", output_stride=32)
    image = jax.ShapeDtypeStruct(shape, jnp.uint8)
    pyramid = jax.eval_shape(lambda x: encoder.init_with_output(jax.random.key(0), x, train=False)[0], image)
    assert pyramid.stride2 is None
    for tap, stride in (
        (pyramid.stride4, 4),
        (pyramid.stride8, 8),
        (pyramid.stride16, 16),
        (pyramid.output, 32),
    ):
        assert tap.shape[1:3] == (shape[1] // stride, shape[2] // stride)
