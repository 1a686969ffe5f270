"""The layers that own parameters, with Keras's names, layouts and defaults.

Notation: [N, H, W, C]. `dtype` is the dtype of computation; parameters and statistics are float32.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from nucseg_jax.models.initializers import Initializer, VarianceScaling
from nucseg_jax.models.preprocessing import Preprocessing
from nucseg_jax.ops import conv as conv_ops
from nucseg_jax.ops.batch_norm import channel_moments, normalise
from nucseg_jax.ops.conv import convolve_depthwise, convolve_transpose
from nucseg_jax.ops.group_norm import normalise_groups
from nucseg_jax.ops.layer_norm import normalise_channels

KERAS_BATCH_NORM_EPSILON = 1e-3
LAYER_SCALE_START = 1e-6
# PyTorch's default.
GROUP_NORM_EPSILON = 1e-5
MOST_GROUPS = 32
# Variables that training leaves alone: what a pretrained checkpoint states about its input.
CONSTANTS = "constants"

glorot_uniform = VarianceScaling(1.0, "fan_avg", "uniform")
# Conv2DTranspose stores [kh, kw, out, in].
glorot_uniform_transposed = VarianceScaling(1.0, "fan_avg", "uniform", in_axis=-1, out_axis=-2)
# Keras's EfficientNets: variance 2 / fan-out, where each filter of a depthwise kernel has k * k outputs.
depthwise_fan_out = VarianceScaling(2.0, "fan_out", "truncated_normal", in_axis=-1, out_axis=-2)


@dataclasses.dataclass(frozen=True)
class MovingStatistics:
    """Rules by which batch norm's moving mean and variance follow those of the batches.

    Attributes:
      momentum: share of the old value that a step keeps, as in Keras (PyTorch's momentum is 1 minus this).
      unbiased_variance: follow n / (n - 1) times the batch's variance, n values a channel, as PyTorch does, and
        as the fused kernel behind TensorFlow 2.15's layer does, which the paper ran on; False = Keras 3.
    """

    momentum: float = 0.99
    unbiased_variance: bool = False


class Conv(nn.Module):
    """Convolution with `kernel` [k, k, C, D] and, if asked for, `bias` [D] (Keras Conv2D).

    Attributes:
      features: D.
      kernel_px: k, the kernel is square.
      stride, dilation, padding: as in `ops.conv_reference.convolve_reference`.
      use_bias: whether a bias is added.
      kernel_init: initializer of the kernel; Keras's default is Glorot's.
      dtype: dtype of computation.
    """

    features: int
    kernel_px: int
    stride: int = 1
    dilation: int = 1
    padding: str | Sequence[tuple[int, int]] = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """[N, H, W, C] -> [N, H', W', D]."""
        shape = (self.kernel_px, self.kernel_px, image.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        image, kernel, bias = nn.dtypes.promote_dtype(image, kernel, bias, dtype=self.dtype)
        result = conv_ops.convolve(
            image, kernel, stride=self.stride, padding=self.padding, dilation=self.dilation
        )
        return result if bias is None else result + bias.reshape(1, 1, 1, -1)


class DepthwiseConv(nn.Module):
    """Depthwise convolution 'same' with `kernel` [k, k, 1, C] (Keras DepthwiseConv2D, axes 2, 3 swapped).

    Attributes:
      kernel_px: k.
      stride, dilation: as in `ops.conv_reference.convolve_depthwise_reference`.
      use_bias: whether a `bias` [C] is added.
      kernel_init: initializer of the kernel; the default is that of Keras's EfficientNets.
      dtype: dtype of computation.
    """

    kernel_px: int
    stride: int = 1
    dilation: int = 1
    use_bias: bool = False
    kernel_init: Initializer = depthwise_fan_out
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """[N, H, W, C] -> [N, H', W', C]."""
        shape = (self.kernel_px, self.kernel_px, 1, image.shape[-1])
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", nn.initializers.zeros, shape[-1:]) if self.use_bias else None
        image, kernel, bias = nn.dtypes.promote_dtype(image, kernel, bias, dtype=self.dtype)
        result = convolve_depthwise(image, kernel, stride=self.stride, dilation=self.dilation)
        return result if bias is None else result + bias.reshape(1, 1, 1, -1)


class ConvTranspose(nn.Module):
    """Transposed convolution 'same' with `kernel` [k, k, D, C] and `bias` [D] (Keras Conv2DTranspose)."""

    features: int
    kernel_px: int
    stride: int
    use_bias: bool = True
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """[N, H, W, C] -> [N, H * stride, W * stride, D]."""
        shape = (self.kernel_px, self.kernel_px, self.features, image.shape[-1])
        kernel = self.param("kernel", glorot_uniform_transposed, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        image, kernel, bias = nn.dtypes.promote_dtype(image, kernel, bias, dtype=self.dtype)
        result = convolve_transpose(image, kernel, stride=self.stride)
        return result if bias is None else result + bias.reshape(1, 1, 1, -1)


class BatchNorm(nn.Module):
    """Keras's BatchNormalization: parameters `scale`, `bias`, moving statistics `mean`, `var`, [C] each.

    Under jit with a sharded batch its statistics are those of the whole batch.

    Attributes:
      moving: how the moving statistics follow.
      epsilon: added to the variance.
      dtype: dtype of the result; statistics and arithmetic are float32 at least.
    """

    moving: MovingStatistics
    epsilon: float = KERAS_BATCH_NORM_EPSILON
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        """[N, H, W, C] -> the same, by the batch's statistics if `train`, else by the moving ones."""
        shape = image.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        offset = self.param("bias", nn.initializers.zeros, shape)
        moving_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        moving_variance = self.variable("batch_stats", "var", jnp.ones, shape)
        mean, variance = moving_mean.value, moving_variance.value
        if train:
            mean, variance = channel_moments(image)
            if self.is_mutable_collection("batch_stats") and not self.is_initializing():
                values = image.size // image.shape[-1]
                correction = values / max(values - 1, 1) if self.moving.unbiased_variance else 1.0
                moving_mean.value = self._follow(moving_mean.value, mean)
                moving_variance.value = self._follow(moving_variance.value, variance * correction)
        dtype = self.dtype or jnp.result_type(image, scale)
        return normalise(image, mean, variance, scale, offset, epsilon=self.epsilon).astype(dtype)

    def _follow(self, old: jax.Array, new: jax.Array) -> jax.Array:
        return self.moving.momentum * old + (1.0 - self.moving.momentum) * new


class LayerNorm(nn.Module):
    """Layer normalization over channels: parameters `scale`, `bias`, [C] each (PyTorch's LayerNorm, channels last).

    Attributes:
      epsilon: added to the variance.
      dtype: dtype of the result; arithmetic is float32 at least.
    """

    epsilon: float
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """[N, H, W, C] -> the same, each pixel by its own mean and variance."""
        shape = image.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        offset = self.param("bias", nn.initializers.zeros, shape)
        dtype = self.dtype or jnp.result_type(image, scale)
        return normalise_channels(image, scale, offset, epsilon=self.epsilon).astype(dtype)


class GroupNorm(nn.Module):
    """Group normalization: parameters `scale`, `bias`, [C] each (PyTorch's GroupNorm, channels last).

    Attributes:
      most_groups: groups of adjacent channels; where it does not divide the channels, the largest divisor below.
      epsilon: added to the variance.
      dtype: dtype of the result; arithmetic is float32 at least.
    """

    most_groups: int = MOST_GROUPS
    epsilon: float = GROUP_NORM_EPSILON
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """[N, H, W, C] -> the same, each image and group by its own mean and variance."""
        channels = image.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,))
        offset = self.param("bias", nn.initializers.zeros, (channels,))
        dtype = self.dtype or jnp.result_type(image, scale)
        groups = group_count(channels, self.most_groups)
        return normalise_groups(image, scale, offset, groups=groups, epsilon=self.epsilon).astype(dtype)


class LayerScale(nn.Module):
    """A factor for each channel, `gamma` [C], that starts near zero (arXiv:2103.17239, section 2).

    Attributes:
      dtype: dtype of computation.
    """

    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """[N, H, W, C] -> the same, scaled."""
        start = nn.initializers.constant(LAYER_SCALE_START)
        gamma = self.param("gamma", start, image.shape[-1:])
        image, gamma = nn.dtypes.promote_dtype(image, gamma, dtype=self.dtype)
        scaled_image: jax.Array = image * gamma.reshape(1, 1, 1, -1)
        return scaled_image


class Normalization(nn.Module):
    """Brings raw RGB to what the weights expect, by constants that a checkpoint replaces (Keras Normalization).

    The collection `constants` holds Keras's seven values: `mean` [3] and true `variance` [3] of image / divisor,
    and `count` [], which Keras keeps and nothing reads.

    Attributes:
      defaults: where the constants come from without pretrained weights.
    """

    defaults: Preprocessing

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """Floating [N, H, W, 3], 0..255 -> the same shape and dtype."""
        defaults = self.defaults
        mean = self.variable(CONSTANTS, "mean", lambda: jnp.asarray(defaults.mean))
        variance = self.variable(
            CONSTANTS, "variance", lambda: jnp.square(jnp.asarray(defaults.standard_deviation))
        )
        self.variable(CONSTANTS, "count", lambda: jnp.zeros(()))
        centred = image / defaults.divisor - mean.value.reshape(1, 1, 1, 3)
        return centred / jnp.sqrt(variance.value).reshape(1, 1, 1, 3)


class ConvBatchNormRelu(nn.Module):
    """The block both decoders are made of: submodules `conv` and `batch_norm`, then ReLU."""

    features: int
    kernel_px: int
    use_bias: bool
    moving: MovingStatistics
    dilation: int = 1
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        """[N, H, W, C] -> [N, H, W, features]."""
        image = Conv(
            self.features,
            self.kernel_px,
            dilation=self.dilation,
            use_bias=self.use_bias,
            dtype=self.dtype,
            name="conv",
        )(image)
        return nn.relu(BatchNorm(moving=self.moving, dtype=self.dtype, name="batch_norm")(image, train=train))


def scaled(channels: int, width: float) -> int:
    """`channels` times the width factor, rounded to a multiple of 8 and at least 8; exact at width 1."""
    return channels if width == 1.0 else max(8, round(channels * width / 8) * 8)


def group_count(channels: int, most_groups: int = MOST_GROUPS) -> int:
    """Counts the groups of a group norm: `most_groups`, or the largest divisor of the channels below.

    >>> group_count(64), group_count(40)
    (32, 20)
    """
    return next(count for count in range(most_groups, 0, -1) if channels % count == 0)
