"""Depthwise convolutions as sums of shifted images.

Notation: image [N, H, W, C]; kernel [kh, kw, 1, C].
"""

import jax
import jax.numpy as jnp


def convolve_depthwise_shifted(
    image: jax.Array, kernel: jax.Array, *, stride: int = 1, dilation: int = 1
) -> jax.Array:
    """Sums, over taps, the shifted image times the tap's row of weights.

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
    """Returns the padding of XLA's and TensorFlow's 'SAME': what is odd goes to the end."""
    outputs = -(-extent // stride)
    total = max((outputs - 1) * stride + (taps - 1) * dilation + 1 - extent, 0)
    return total // 2, total - total // 2
