"""Keras's names of layers and variables, and the names they have here: 'conv1_bn/gamma' -> 'conv1_bn/scale'."""

import re
from collections.abc import Iterable, Mapping

from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.pretrained.stored_array import StoredArray

_OURS = {
    "kernel": "kernel",
    "depthwise_kernel": "kernel",
    "bias": "bias",
    "gamma": "scale",
    "beta": "bias",
    "moving_mean": "mean",
    "moving_variance": "var",
}
_NORMALIZATION = ("mean", "variance", "count")
# Variables of a layer class, in the order in which Keras numbers them.
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "normalization": _NORMALIZATION,
    "dense": ("kernel", "bias"),
}
_CLASS_GROUPS = {
    "Conv2D": "conv2d",
    "DepthwiseConv2D": "depthwise_conv2d",
    "BatchNormalization": "batch_normalization",
    "Normalization": "normalization",
    "Dense": "dense",
}
# Layers of a block in the order of Keras's `model.layers`, which is that of the graph's depth: the shortcut's
# convolution stands beside the last of its block.
_ORDER_IN_RESNET_BLOCK = ("1", "2", "0", "3")
_ORDER_IN_EFFICIENTNET_BLOCK = ("expand", "dwconv", "bn", "se_reduce", "se_expand", "project")
_CLASSIFIER = re.compile(r"(predictions|probs|fc|fc1000|dense)(_\d+)?/(kernel|bias)")


def class_of_group(group: str) -> tuple[str, int]:
    """'batch_normalization_3' -> ('batch_normalization', 3); 'conv2d' -> ('conv2d', 0)."""
    counted = re.fullmatch(r"(.+?)_(\d+)", group)
    return (counted[1], int(counted[2])) if counted else (group, 0)


def variable_name(layer_class: str, index: int) -> str | None:
    """Keras's name of a layer's variable, by its number; None where it is not known."""
    names = _VARIABLES.get(layer_class, ())
    return names[index] if index < len(names) else None


def names_by_group(config: JsonObject) -> dict[str, str]:
    """Layer name by counter ('conv2d_3'), from the configuration of a Keras model, which lists all in order."""
    counts: dict[str, int] = {}
    names = {}
    for layer in config["config"]["layers"]:
        layer_class = _CLASS_GROUPS.get(layer["class_name"])
        if layer_class is not None:
            number = counts.get(layer_class, 0)
            counts[layer_class] = number + 1
            names[f"{layer_class}_{number}" if number else layer_class] = str(layer["config"]["name"])
    return names


def has_counters(names: Iterable[str]) -> bool:
    """Returns True if the names are counters of layer classes."""
    return any(name.startswith("layers/") for name in names)


def names_from_counters(arrays: Mapping[str, StoredArray], ours: Iterable[str]) -> dict[str, StoredArray]:
    """Puts Keras's layer names in place of counters, by the order that an encoder's layers have in Keras.

    Args:
      arrays: by name; 'layers/conv2d_3/vars/0'.
      ours: the names here of everything in the whole encoder.

    Returns:
      The same arrays; counters beyond the encoder's last layer of a class keep their name.
    """
    layers: dict[str, list[str]] = {}
    for layer in sorted({name.split("/")[0] for name in ours}, key=_place_in_model):
        layers.setdefault(_class_of_layer(layer), []).append(layer)
    named = {}
    for name, array in arrays.items():
        counter = re.fullmatch(r"layers/([^/]+)/vars/(\d+)", name)
        if counter:
            layer_class, number = class_of_group(counter[1])
            variable = variable_name(layer_class, int(counter[2]))
            known = layers.get(layer_class, [])
            if layer_class == "dense":
                name = f"dense_{number}/{variable}"
            elif variable and number < len(known):
                name = f"{known[number]}/{variable}"
        named[name] = array
    return named


def to_ours(arrays: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    """Renames to the names here and brings depthwise kernels from [k, k, C, 1] to [k, k, 1, C]."""
    renamed = {}
    for name, array in arrays.items():
        layer, _, variable = name.rpartition("/")
        if re.fullmatch(r"normalization(_\d+)?", layer) and variable in _NORMALIZATION:
            ours = f"normalization/{variable}"
        elif "/" not in layer and variable in _OURS:
            ours = f"{layer}/{_OURS[variable]}"
        else:
            ours = name
        if layer.endswith("_dwconv") and len(array.shape) == 4:
            array = array.transposed((0, 1, 3, 2), "depthwise kernels from [k, k, C, 1] to [k, k, 1, C]")
        if ours in renamed:  # 'normalization' and 'normalization_1': let both show as what they are.
            ours = name
        renamed[ours] = array
    return renamed


def is_classifier(name: str, array: StoredArray) -> bool:
    """Returns True for a layer that an encoder ends before: Keras's top."""
    return bool(_CLASSIFIER.fullmatch(name)) and len(array.shape) == (2 if name.endswith("/kernel") else 1)


def _class_of_layer(layer: str) -> str:
    if layer == "normalization":
        return layer
    if layer.endswith("_bn"):
        return "batch_normalization"
    return "depthwise_conv2d" if layer.endswith("_dwconv") else "conv2d"


def _place_in_model(layer: str) -> tuple[int, int, int]:
    """Sorts layers of one class as Keras's `model.layers` has them: (stage, block, place in the block)."""
    if resnet := re.fullmatch(r"conv(\d+)_block(\d+)_(\d)_(?:conv|bn)", layer):
        return int(resnet[1]), int(resnet[2]), _ORDER_IN_RESNET_BLOCK.index(resnet[3])
    if block := re.fullmatch(r"block(\d+)([a-z])_(.+)", layer):
        part = block[3].removesuffix("_conv")
        part = part.removesuffix("_bn") if part != "bn" else part
        return int(block[1]), ord(block[2]), _ORDER_IN_EFFICIENTNET_BLOCK.index(part)
    # What comes before and after all blocks.
    return (10**6 if layer.startswith("top_") else 0), 0, 0
