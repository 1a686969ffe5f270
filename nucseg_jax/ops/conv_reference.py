"""The definitions of the convolutions: XLA's own operations, with the parameters that Keras stores.

Notation: image [N, H, W, C] (batch, rows, columns, channels); kernel [kh, kw, C, D], C in, D out.
Every other form has the same parameters and, up to rounding, the same value and gradients.
"""

from collections.abc import Sequence

import jax
from jax import lax

Padding = str | Sequence[tuple[int, int]]


def convolve_reference(
    image: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: Padding = "VALID", dilation: int = 1
) -> jax.Array:
    """Convolves, as XLA does (cross-correlation, as in Keras and PyTorch).

    Args:
      image: floating [N, H, W, C].
      kernel: same dtype, [kh, kw, C, D].
      stride: step of the output grid, both axes.
      padding: 'SAME' or 'VALID' as XLA has them, or ((top, bottom), (left, right)) zeros.
      dilation: distance between the kernel's taps (atrous rate), both axes.

    Returns:
      [N, H', W', D] of the same dtype.
    """
    return lax.conv_general_dilated(
        image,
        kernel,
        window_strides=(stride, stride),
        padding=padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def convolve_transpose_reference(image: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Transposes a 'SAME' convolution with this stride (Keras Conv2DTranspose 'same'), the upsampling of U-Nets.

    Args:
      image: floating [N, H, W, C].
      kernel: same dtype, [kh, kw, D, C].
      stride: factor by which rows and columns grow.

    Returns:
      [N, H * stride, W * stride, D] of the same dtype.
    """
    return lax.conv_transpose(
        image,
        kernel,
        strides=(stride, stride),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        transpose_kernel=True,
    )


def convolve_depthwise_reference(
    image: jax.Array, kernel: jax.Array, *, stride: int = 1, dilation: int = 1
) -> jax.Array:
    """Convolves each channel with a filter of its own, 'SAME' padding (Keras DepthwiseConv2D).

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
