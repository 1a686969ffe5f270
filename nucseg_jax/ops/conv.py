"""Two-dimensional convolutions: one meaning, the lowering that runs well on the backend at hand.

Notation: image [N, H, W, C] (batch, rows, columns, channels); kernel [kh, kw, C, D], C in, D out.
Every lowering has the same parameters and, up to rounding, the same value as `convolve_reference`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

Padding = str | Sequence[tuple[int, int]]


def convolve_reference(
    image: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: Padding = "VALID", dilation: int = 1
) -> jax.Array:
    """The definition: XLA's own convolution (cross-correlation, as in Keras and PyTorch).

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


def convolve(
    image: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: Padding = "VALID", dilation: int = 1
) -> jax.Array:
    """`convolve_reference`, lowered for the backend; arguments and result as there."""
    if kernel.shape[:2] == (1, 1) and padding in ("SAME", "VALID"):
        return convolve_1x1(image, kernel, stride=stride)
    if dilation > 1 and stride == 1 and padding == "SAME" and jax.default_backend() == "cpu":
        return convolve_atrous(image, kernel, dilation=dilation)
    return convolve_reference(image, kernel, stride=stride, padding=padding, dilation=dilation)


def convolve_1x1(image: jax.Array, kernel: jax.Array, *, stride: int = 1) -> jax.Array:
    """A 1x1 convolution as one matrix product; the stride picks pixels before it."""
    picked = image[:, ::stride, ::stride, :]
    return lax.dot_general(picked, kernel[0, 0], (((3,), (0,)), ((), ())))


def convolve_atrous(image: jax.Array, kernel: jax.Array, *, dilation: int) -> jax.Array:
    """A 'SAME' atrous convolution with odd kernel as one matrix product a tap, on unpadded pixels only.

    On the small maps where networks use high rates most taps fall wholly or mostly into the padding: on
    a 16x16 map at rate 18 eight taps of nine do, and XLA would multiply their zeros.
    """
    height, width = image.shape[1:3]
    kernel_height, kernel_width = kernel.shape[:2]
    result = jnp.zeros((*image.shape[:3], kernel.shape[3]), image.dtype)
    for row in range(kernel_height):
        for column in range(kernel_width):
            down = (row - kernel_height // 2) * dilation
            right = (column - kernel_width // 2) * dilation
            if abs(down) >= height or abs(right) >= width:
                continue
            source = image[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0), :]
            product = lax.dot_general(source, kernel[row, column], (((3,), (0,)), ((), ())))
            target = ((0, 0), (max(-down, 0), max(down, 0)), (max(-right, 0), max(right, 0)), (0, 0))
            result = result + jnp.pad(product, target)
    return result


def convolve_transpose(image: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """The transpose of a 'SAME' convolution with this stride, as Keras's Conv2DTranspose 'same'.

    Args:
      image: floating [N, H, W, C].
      kernel: same dtype, [kh, kw, D, C] (out before in, as Keras stores it).
      stride: factor by which rows and columns grow.

    Returns:
      [N, H * stride, W * stride, D].
    """
    return lax.conv_transpose(
        image,
        kernel,
        strides=(stride, stride),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        transpose_kernel=True,
    )
