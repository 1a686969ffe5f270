"""Cost of a model: parameters by Keras's counting rule, and the arithmetic of its layers."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nucseg_jax.core.arrays import Variables
from nucseg_jax.models.initial import TABLE_1_PX
from nucseg_jax.models.layers import CONSTANTS, Conv, ConvTranspose, DepthwiseConv

BYTES_PER_PARAMETER = 4


@dataclasses.dataclass(frozen=True)
class ParameterCount:
    """Parameters as Keras's `count_params` has them.

    Attributes:
      total: everything below together.
      trainable: kernels, biases, batch norm's scales and offsets.
      moving: batch norm's moving means and variances.
      constant: the seven values of Keras's Normalization layer in EfficientNets, which here are constants.
    """

    trainable: int
    moving: int
    constant: int

    @property
    def total(self) -> int:
        """Number of parameters, as Keras's `count_params` gives it."""
        return self.trainable + self.moving + self.constant

    @property
    def size_mb(self) -> float:
        """Table 1's size: 4 bytes a parameter, in units of 2^20 bytes."""
        return self.total * BYTES_PER_PARAMETER / 2**20


def count_parameters(variables: Variables) -> ParameterCount:
    """Counts the collections 'params', 'batch_stats' and 'constants', real or abstract."""

    def size(collection: str) -> int:
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables.get(collection, {})))

    return ParameterCount(trainable=size("params"), moving=size("batch_stats"), constant=size(CONSTANTS))


def forward_flops(model: nn.Module, *, px: int = TABLE_1_PX) -> int:
    """Floating-point operations of all convolutions on one px x px image, 2 a multiply-add.

    Each convolution counts as if every tap met a real pixel, whatever lowering runs; bias, batch norm,
    activations, pooling and resizing are left out, as is usual.
    """
    total = 0

    def count(
        call: Callable[..., Any],
        args: tuple[jax.Array, ...],
        kwargs: dict[str, object],
        context: nn.module.InterceptorContext,
    ) -> Any:
        nonlocal total
        result = call(*args, **kwargs)
        layer = context.module
        if isinstance(layer, Conv | ConvTranspose | DepthwiseConv) and context.method_name == "__call__":
            # A transposed convolution applies its kernel at every input pixel, a convolution at every output pixel.
            image = args[0] if isinstance(layer, ConvTranspose) else result
            # Each output channel of a depthwise convolution sees one input channel.
            channels = args[0].shape[-1] * (1 if isinstance(layer, DepthwiseConv) else layer.features)
            total += 2 * layer.kernel_px**2 * channels * image.shape[1] * image.shape[2]
        return result

    image = jax.ShapeDtypeStruct((1, px, px, 3), jnp.uint8)
    with nn.intercept_methods(count):
        jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    return total
