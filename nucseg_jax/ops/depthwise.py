"""Depthwise convolution: one filter a channel, channels do not mix.

Notation: image [N, H, W, C]; kernel [kh, kw, 1, C].
"""

import jax
import jax.numpy as jnp
from jax import lax

from nucseg_jax.ops.lowering import lowerings


def convolve_depthwise_reference(
    image: jax.Array, kernel: jax.Array, *, stride: int = 1, dilation: int = 1
) -> jax.Array:
    """The definition: XLA's grouped convolution with 'SAME' padding (Keras DepthwiseConv2D).

    Args:
      image: floating [N, H, W, C].
      kernel: same dtype, [kh, kw, 1, C].
      stride: step of the output grid, both axes.
      dilation: distance between the kernel's taps, both axes.

    Returns:
      [N, ceil(H / stride), ceil(W / stride), C] of the same dtype.
    """
    return lax.conv_general_dilated(
        image,
        kernel,
        window_strides=(stride, stride),
        padding="SAME",
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=image.shape[-1],
    )


def convolve_depthwise(
    image: jax.Array, kernel: jax.Array, *, stride: int = 1, dilation: int = 1
) -> jax.Array:
    """`convolve_depthwise_reference`, lowered for the platform; arguments and result as there."""
    if lowerings().depthwise == "shifted":
        return convolve_depthwise_shifted(image, kernel, stride=stride, dilation=dilation)
    return convolve_depthwise_reference(image, kernel, stride=stride, dilation=dilation)


def convolve_depthwise_shifted(
    image: jax.Array, kernel: jax.Array, *, stride: int = 1, dilation: int = 1
) -> jax.Array:
    """The sum over taps of the shifted image times the tap's row of weights.

    XLA's CPU backend computes the gradient of a grouped convolution as if all channels mixed; this form has
    the arithmetic of the layer, forward and backward.
    """
    kernel_size = kernel.shape[:2]
    sizes = [-(-extent // stride) for extent in image.shape[1:3]]
    spans = [(size - 1) * stride + 1 for size in sizes]
    padding = [
        _same_padding(extent, taps, stride, dilation)
        for extent, taps in zip(image.shape[1:3], kernel_size, strict=True)
    ]
    padded = jnp.pad(image, ((0, 0), *padding, (0, 0)))
    result = jnp.zeros((), image.dtype)
    for row in range(kernel_size[0]):
        for column in range(kernel_size[1]):
            down, right = row * dilation, column * dilation
            tap = padded[:, down : down + spans[0] : stride, right : right + spans[1] : stride, :]
            result = result + tap * kernel[row, column].reshape(1, 1, 1, -1)
    return result


def _same_padding(extent: int, taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """XLA's and TensorFlow's 'SAME': what is odd goes to the end."""
    outputs = -(-extent // stride)
    total = max((outputs - 1) * stride + (taps - 1) * dilation + 1 - extent, 0)
    return total // 2, total - total // 2
