"""Names of the frameworks against records of the frameworks themselves."""

import json
import pathlib

import numpy as np
import pytest

from nucseg_jax.pretrained import keras_names, torch_names
from nucseg_jax.pretrained.stored_array import StoredArray
from nucseg_jax.pretrained.target import target_of

LAYERS = json.loads((pathlib.Path(__file__).parent / "keras_layers.json").read_text())
CLASSES = {
    "Conv2D": ("conv2d", ["kernel", "bias"]),
    "DepthwiseConv2D": ("depthwise_conv2d", ["kernel"]),
    "BatchNormalization": ("batch_normalization", ["gamma", "beta", "moving_mean", "moving_variance"]),
    "Normalization": ("normalization", ["mean", "variance", "count"]),
}


def stored(name, shape=()):
    return StoredArray(name, shape, "float32", lambda: np.zeros(shape, np.float32))


@pytest.mark.parametrize("encoder", LAYERS)
def test_counters_stand_for_the_layers_that_keras_counts(encoder):
    """In the published depth, where a block more or less would shift all that follows."""
    target = target_of(encoder)
    counted, wanted, counts = {}, {}, {}
    for layer_class, layer in LAYERS[encoder]:
        group, weights = CLASSES[layer_class]
        number = counts.setdefault(group, 0)
        counts[group] += 1
        for index, weight in enumerate(weights):
            name = f"layers/{group}_{number}/vars/{index}" if number else f"layers/{group}/vars/{index}"
            counted[name] = stored(name)
            wanted[name] = f"{layer}/{weight}"
    named = keras_names.names_from_counters(counted, target.shapes["whole"])
    assert {array.name: name for name, array in named.items()} == wanted
    # And all of the encoder's layers are in Keras's model.
    assert {name.split("/")[0] for name in target.shapes["whole"]} == {layer for _, layer in LAYERS[encoder]}


def test_counters_beyond_the_encoder_keep_their_name():
    target = target_of("resnet50")
    arrays = {name: stored(name) for name in ("layers/conv2d_53/vars/0", "layers/separable_conv2d/vars/0")}
    assert keras_names.names_from_counters(arrays, target.shapes["whole"]) == arrays


@pytest.mark.parametrize(
    ("torch", "keras"),
    [
        ("conv1.weight", "conv1_conv/kernel"),
        ("bn1.weight", "conv1_bn/scale"),
        ("bn1.running_var", "conv1_bn/var"),
        ("layer1.0.conv1.weight", "conv2_block1_1_conv/kernel"),
        ("layer1.0.downsample.0.weight", "conv2_block1_0_conv/kernel"),
        ("layer1.0.downsample.1.running_mean", "conv2_block1_0_bn/mean"),
        ("layer3.5.bn2.bias", "conv4_block6_2_bn/bias"),
        ("layer4.2.conv3.weight", "conv5_block3_3_conv/kernel"),
        ("layer4.2.bn3.weight", "conv5_block3_3_bn/scale"),
        ("layer4.2.se.fc1.weight", "layer4.2.se.fc1.weight"),
        ("fc.weight", "fc.weight"),
    ],
)
def test_names_of_torchvision(torch, keras):
    assert list(torch_names.to_ours({torch: stored(torch)})) == [keras]


def test_the_names_of_torchvision_are_all_of_the_encoder_and_no_more():
    """torchvision's resnet50, its modules spelled out."""
    modules = {"conv1": (64, 3, 7, 7), "bn1": (64,)}
    width = 64
    for layer, (inner, blocks) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True), start=1):
        for block in range(blocks):
            name = f"layer{layer}.{block}"
            shapes = {"1": (inner, width, 1, 1), "2": (inner, inner, 3, 3), "3": (4 * inner, inner, 1, 1)}
            for number, shape in shapes.items():
                modules[f"{name}.conv{number}"] = shape
                modules[f"{name}.bn{number}"] = shape[:1]
            if block == 0:
                modules[f"{name}.downsample.0"] = (4 * inner, width, 1, 1)
                modules[f"{name}.downsample.1"] = (4 * inner,)
            width = 4 * inner
    state = {}
    for module, shape in modules.items():
        leaves = ("weight",) if len(shape) == 4 else ("weight", "bias", "running_mean", "running_var")
        state |= {f"{module}.{leaf}": stored(module, shape) for leaf in leaves}
    ours = torch_names.to_ours(state)
    assert {name: array.shape for name, array in ours.items()} == target_of("resnet50_v1_5").shapes["whole"]


def test_only_a_classifier_is_a_classifier():
    assert keras_names.is_classifier("predictions/kernel", stored("", (2048, 1000)))
    assert keras_names.is_classifier("dense_1/bias", stored("", (1000,)))
    assert not keras_names.is_classifier("predictions/kernel", stored("", (1, 1, 2048, 1000)))
    assert not keras_names.is_classifier("conv1_conv/bias", stored("", (64,)))
