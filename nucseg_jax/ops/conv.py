"""Two-dimensional convolutions: one meaning, the lowering that runs well on the platform at hand.

Notation: image [N, H, W, C] (batch, rows, columns, channels); kernel [kh, kw, C, D], C in, D out.
Every lowering has the same parameters and, up to rounding, the same value and gradients as `convolve_reference`.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nucseg_jax.ops.lowering import lowerings
from nucseg_jax.ops.winograd import convolve_3x3_winograd

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
    """`convolve_reference`, lowered for the platform; arguments and result as there."""
    chosen = lowerings()
    if kernel.shape[:2] == (1, 1) and padding in ("SAME", "VALID") and chosen.pointwise == "product":
        return convolve_1x1(image, kernel, stride=stride)
    if stride == 1 and padding == "SAME":
        is_odd = kernel.shape[0] % 2 == 1 == kernel.shape[1] % 2
        if dilation > 1 and is_odd and chosen.atrous == "taps":
            return convolve_atrous(image, kernel, dilation=dilation)
        if dilation == 1 and _takes_winograd(image, kernel, chosen.winograd_from):
            return convolve_3x3_winograd(image, kernel)
    if chosen.kernel_gradient_px is not None:
        if not isinstance(padding, str):
            padding = tuple((before, after) for before, after in padding)
        return convolve_grouped_gradient(
            image, kernel, Geometry(stride, padding, dilation), chosen.kernel_gradient_px
        )
    return convolve_reference(image, kernel, stride=stride, padding=padding, dilation=dilation)


def _takes_winograd(image: jax.Array, kernel: jax.Array, least_multiply_adds: int | None) -> bool:
    """Whether the transforms pay; narrower dtypes have too few digits for them."""
    (_, H, W, C), D = image.shape, kernel.shape[3]
    is_wide = jnp.finfo(image.dtype).bits >= 32
    return (
        least_multiply_adds is not None
        and kernel.shape[:2] == (3, 3)
        and is_wide
        and least_multiply_adds <= H * W * C * D
    )


def convolve_1x1(image: jax.Array, kernel: jax.Array, *, stride: int = 1) -> jax.Array:
    """A 1x1 convolution as one matrix product; the stride picks pixels before it."""
    picked = image[:, ::stride, ::stride, :]
    return lax.dot_general(picked, kernel[0, 0], (((3,), (0,)), ((), ())))


@dataclasses.dataclass(frozen=True)
class Geometry:
    """How a kernel walks over an image; the fields are `convolve_reference`'s arguments."""

    stride: int
    padding: str | tuple[tuple[int, int], ...]
    dilation: int


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve_grouped_gradient(
    image: jax.Array, kernel: jax.Array, geometry: Geometry, group_px: int
) -> jax.Array:
    """The reference, whose kernel gradient is a sum over groups of images.

    XLA's CPU backend computes that gradient as a convolution with the batch as channels, at half the speed once
    the batch holds more than some 30,000 pixels.

    Args:
      image, kernel: as in `convolve_reference`.
      geometry: stride, padding, dilation.
      group_px: largest number of pixels in a group of more than one image.
    """
    del group_px
    return convolve_reference(
        image, kernel, stride=geometry.stride, padding=geometry.padding, dilation=geometry.dilation
    )


def _grouped_forward(
    image: jax.Array, kernel: jax.Array, geometry: Geometry, group_px: int
) -> tuple[jax.Array, Any]:
    return convolve_grouped_gradient(image, kernel, geometry, group_px), (image, kernel)


def _grouped_backward(
    geometry: Geometry, group_px: int, residual: Any, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    image, kernel = residual
    convolution = functools.partial(
        convolve_reference, stride=geometry.stride, padding=geometry.padding, dilation=geometry.dilation
    )
    (image_gradient,) = jax.linear_transpose(lambda values: convolution(values, kernel), image)(gradient)
    N, H, W, _ = image.shape
    images = max(1, group_px // (H * W))
    kernel_gradient = jnp.zeros_like(kernel)
    for first in range(0, N, images):
        group = slice(first, first + images)
        of_group = jax.linear_transpose(
            lambda weights, group=group: convolution(image[group], weights), kernel
        )
        kernel_gradient = kernel_gradient + of_group(gradient[group])[0]
    return image_gradient, kernel_gradient


convolve_grouped_gradient.defvjp(_grouped_forward, _grouped_backward)


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
