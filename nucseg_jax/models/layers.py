"""The layers that own parameters, with Keras's names, layouts and defaults.

Notation: [N, H, W, C]. `dtype` is the dtype of computation; parameters and statistics are float32.
"""

from collections.abc import Sequence
from typing import Any

import jax
from flax import linen as nn

from nucseg_jax.ops import conv as conv_ops

KERAS_BATCH_NORM_EPSILON = 1e-3

glorot_uniform = nn.initializers.xavier_uniform()
# Conv2DTranspose stores [kh, kw, out, in].
glorot_uniform_transposed = nn.initializers.variance_scaling(
    1.0, "fan_avg", "uniform", in_axis=-1, out_axis=-2
)


class Conv(nn.Module):
    """Convolution with `kernel` [k, k, C, D] and, if asked for, `bias` [D] (Keras Conv2D).

    Attributes:
      features: D.
      kernel_px: k, the kernel is square.
      stride, dilation, padding: as in `ops.conv.convolve_reference`.
      use_bias: whether a bias is added.
      dtype: dtype of computation.
    """

    features: int
    kernel_px: int
    stride: int = 1
    dilation: int = 1
    padding: str | Sequence[tuple[int, int]] = "SAME"
    use_bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """[N, H, W, C] -> [N, H', W', D]."""
        shape = (self.kernel_px, self.kernel_px, image.shape[-1], self.features)
        kernel = self.param("kernel", glorot_uniform, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        image, kernel, bias = nn.dtypes.promote_dtype(image, kernel, bias, dtype=self.dtype)
        result = conv_ops.convolve(
            image, kernel, stride=self.stride, padding=self.padding, dilation=self.dilation
        )
        return result if bias is None else result + bias.reshape(1, 1, 1, -1)


class ConvTranspose(nn.Module):
    """Transposed convolution 'same' with `kernel` [k, k, D, C] and `bias` [D] (Keras Conv2DTranspose)."""

    features: int
    kernel_px: int
    stride: int
    use_bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """[N, H, W, C] -> [N, H * stride, W * stride, D]."""
        shape = (self.kernel_px, self.kernel_px, self.features, image.shape[-1])
        kernel = self.param("kernel", glorot_uniform_transposed, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        image, kernel, bias = nn.dtypes.promote_dtype(image, kernel, bias, dtype=self.dtype)
        result = conv_ops.convolve_transpose(image, kernel, stride=self.stride)
        return result if bias is None else result + bias.reshape(1, 1, 1, -1)


class ConvBatchNormRelu(nn.Module):
    """The block both decoders are made of: submodules `conv` and `batch_norm`, then ReLU."""

    features: int
    kernel_px: int
    use_bias: bool
    momentum: float
    dilation: int = 1
    dtype: Any = None

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
        image = batch_norm("batch_norm", momentum=self.momentum, dtype=self.dtype)(
            image, use_running_average=not train
        )
        return nn.relu(image)


def batch_norm(
    name: str, *, momentum: float, dtype: Any, epsilon: float = KERAS_BATCH_NORM_EPSILON
) -> nn.BatchNorm:
    """Keras's BatchNormalization. Under jit with a sharded batch its statistics are those of the whole batch.

    The moving variance follows the biased batch variance, as in Keras 3. The fused kernel behind TensorFlow
    2.15's layer, which the paper used, follows n / (n - 1) times that: 14 % more in `aspp_pool` at batch 8,
    where n = 8, and under 0.1 % in every other layer at the paper's sizes.
    """
    return nn.BatchNorm(momentum=momentum, epsilon=epsilon, dtype=dtype, name=name)


def scaled(channels: int, width: float) -> int:
    """`channels` times the width factor, rounded to a multiple of 8 and at least 8; exact at width 1."""
    return channels if width == 1.0 else max(8, round(channels * width / 8) * 8)
