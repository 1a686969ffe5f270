"""The networks of keras.applications with our variables in them. Needs TensorFlow; imported inside tests only."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nucseg_jax.models.efficientnet import EfficientNet
from tests.parity.observation import Observation

APPLICATIONS: dict[str, Callable[..., Any]] = {
    "resnet50": keras.applications.ResNet50,
    "resnet101": keras.applications.ResNet101,
    "resnet152": keras.applications.ResNet152,
    "efficientnet_b0": keras.applications.EfficientNetB0,
    "efficientnet_b1": keras.applications.EfficientNetB1,
    "efficientnet_b2": keras.applications.EfficientNetB2,
    "efficientnet_b3": keras.applications.EfficientNetB3,
    "efficientnet_b4": keras.applications.EfficientNetB4,
    "efficientnet_b5": keras.applications.EfficientNetB5,
    "efficientnet_b6": keras.applications.EfficientNetB6,
    "efficientnet_b7": keras.applications.EfficientNetB7,
}
VERSION = f"Keras {keras.__version__} on TensorFlow {tf.__version__}"
# Leaf names of ours by Keras's.
CONV = {"kernel": "kernel", "bias": "bias"}
BATCH_NORM = {"gamma": "scale", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
NORMALIZATION = {"mean": "mean", "variance": "variance", "count": "count"}


def compute_in(dtype: str) -> None:
    """Layers built from now on have variables and arithmetic of this dtype."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


def build(name: str, H: int, W: int) -> Any:
    """A row of ours as Keras has it, without its classifier.

    The size is given because Keras's EfficientNets pad odd and even maps differently only where it is known.
    """
    return APPLICATIONS[name](weights=None, include_top=False, input_shape=(H, W, 3))


def load(model: Any, variables: Mapping[str, Any]) -> None:
    """Puts our collections into a Keras model by layer name; every array finds its place, every place its array."""
    ours = {collection: dict(layers) for collection, layers in variables.items()}
    for layer in model.layers:
        if not layer.weights:
            continue
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        is_input_norm = isinstance(layer, keras.layers.Normalization)
        name = "normalization" if is_input_norm else layer.name
        leaves: dict[str, Any] = {}
        for collection in ours:
            leaves |= ours[collection].pop(name, {})
        names = NORMALIZATION if is_input_norm else BATCH_NORM if is_norm else CONV
        values = []
        for weight in layer.weights:
            value = leaves.pop(names[weight.name])
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                value = np.swapaxes(value, 2, 3)
            # Normalization keeps its statistics with axes to broadcast over.
            assert is_input_norm or tuple(weight.shape) == value.shape, f"{layer.name}/{weight.name}"
            values.append(np.reshape(value, weight.shape))
        assert not leaves, f"Keras's {layer.name} has no {sorted(leaves)}"
        layer.set_weights(values)
        if is_input_norm:
            layer.finalize_state()
    left = {collection: layers for collection, layers in ours.items() if layers}
    assert not left, f"Keras has no layers for {left.keys()}: {left}"


def without_drop_connect(model: Any) -> None:
    """Sets the rate of every Dropout layer to 0."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0


def tap_layers(encoder: Any) -> dict[str, str]:
    """Fields of `Pyramid` but `image` to the names of Keras's layers, for a whole encoder."""
    if isinstance(encoder, EfficientNet):
        expanded = {"stride2": 2, "stride4_low_level": 3, "stride4": 3, "stride8": 4, "stride16": 6}
        taps = {field: f"block{number}a_expand_activation" for field, number in expanded.items()}
        return {**taps, "output": "top_activation"}
    conv2, conv3, conv4, conv5 = encoder.depths
    return {
        "stride2": "conv1_relu",
        "stride4_low_level": f"conv2_block{min(2, conv2)}_out",
        "stride4": f"conv2_block{conv2}_out",
        "stride8": f"conv3_block{conv3}_out",
        "stride16": f"conv4_block{conv4}_out",
        "output": f"conv5_block{conv5}_out",
    }


def preprocess(encoder: Any, image: np.ndarray) -> np.ndarray:
    """Raw RGB as Keras's users must give it to this network."""
    image = image.astype(keras.config.floatx())
    if isinstance(encoder, EfficientNet):
        return keras.applications.efficientnet.preprocess_input(image)
    return keras.applications.resnet.preprocess_input(image)


def observe(
    name: str, encoder: Any, variables: Mapping[str, Any], image: np.ndarray, *, train: bool
) -> Observation:
    """One pass of Keras's network with our variables, nothing dropped."""
    model = build(name, *image.shape[1:3])
    load(model, variables)
    without_drop_connect(model)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    taps = tap_layers(encoder)
    outputs = {layer.name: layer.output for layer in norms}
    outputs |= {layer: model.get_layer(layer).output for layer in taps.values()}
    results = keras.Model(model.input, outputs)(preprocess(encoder, image), training=train)
    statistics = {}
    for layer in norms:
        statistics[f"{layer.name}/mean"] = np.asarray(layer.moving_mean)
        statistics[f"{layer.name}/var"] = np.asarray(layer.moving_variance)
    return Observation(
        taps={field: np.asarray(results[layer]) for field, layer in taps.items()},
        norms={layer.name: np.asarray(results[layer.name]) for layer in norms},
        statistics=statistics,
    )
