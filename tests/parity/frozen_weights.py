"""Random weights and batch-norm statistics for whole encoders, drawn by `frozen`.

Scales keep activations of order one through the deepest network, with moving statistics near those of the
activations, so that no layer's error hides behind another's size.
"""

import math
import re
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from nucseg_jax.core.tree import leaf_name
from tests.parity.frozen import integers, uniform

# What 0..255 minus a mean is like; images that are divided by a deviation are of order one.
UNSCALED_INPUT = 64.0
# Silu and the gate of squeeze-and-excite leave less of a signal than ReLU does.
EFFICIENTNET_GAIN = 2.25
RESNET_GAIN = 1.5
# Of what a block adds to its shortcut: small, or rounding would grow from block to block of the deep networks.
RESIDUAL_SCALE = 0.25
_ENDS_RESIDUAL_BRANCH = re.compile(r"conv\d_block\d+_3_bn|block\d[b-z]_project_bn")


def frozen_variables(encoder: nn.Module) -> dict[str, Any]:
    """The collections of one of our encoders, filled: NumPy float32, random batch-norm statistics included."""
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    shapes = jax.eval_shape(lambda x: encoder.init(jax.random.key(0), x, train=False), image)
    unscaled = encoder.preprocessing.divisor == 1.0

    def fill(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        collection, layer, kind = leaf_name(path).split("/")
        values = frozen_leaf(collection, layer, kind, leaf.shape)
        if unscaled and (layer, kind) == ("conv1_conv", "kernel"):
            values = values / np.float32(UNSCALED_INPUT)
        return values

    return jax.tree_util.tree_map_with_path(fill, shapes)


def frozen_leaf(collection: str, layer: str, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of one leaf by its layer's name (Keras's) and its own: kernel, bias, scale, mean, var, ..."""
    name = f"{layer}/{kind}"
    if collection == "constants":
        low, high = {"mean": (0.4, 0.6), "variance": (0.03, 0.09), "count": (0.0, 1.0)}[kind]
        return uniform(name, shape, low, high)
    if kind == "kernel":
        gain = RESNET_GAIN if layer.startswith("conv") else EFFICIENTNET_GAIN
        limit = math.sqrt(3.0 * gain / math.prod(shape[:3]))
        return uniform(name, shape, -limit, limit) * amplitudes(layer, shape[-1])
    if layer.endswith("_bn"):
        scale = RESIDUAL_SCALE if _ENDS_RESIDUAL_BRANCH.fullmatch(layer) else 1.0
        conv = layer.replace("_bn", "_conv")
        match kind:
            case "scale":
                return uniform(name, shape, 0.5 * scale, 1.5 * scale)
            case "bias":
                return uniform(name, shape, -0.5, 0.5)
            case "mean":
                return uniform(name, shape, -0.5, 0.5) * amplitudes(conv, shape[-1])
            case "var":
                return uniform(name, shape, 0.5, 1.5) * np.square(amplitudes(conv, shape[-1]))
    assert kind == "bias", name
    return uniform(name, shape, -0.2, 0.2) * amplitudes(layer, shape[-1])


def amplitudes(conv: str, channels: int) -> np.ndarray:
    """[channels], the size of a convolution's outputs: every fourth is between 1 and 2^-10.

    Where a variance is 1e-6, it shows which epsilon is added to it.
    """
    if "_se_" in conv:
        return np.ones(channels, np.float32)
    # EfficientNet's depthwise convolution and its batch norm are named block2a_dwconv and block2a_bn.
    halvings = integers(f"{conv.replace('_dwconv', '_conv')} amplitude", channels, 0, 11)
    halvings[np.arange(channels) % 4 != 0] = 0
    return np.ldexp(np.float32(1.0), -halvings).astype(np.float32)
