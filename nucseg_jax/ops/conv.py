"""Convolutions: one meaning each, in the form that runs well on the platform at hand.

Notation: image [N, H, W, C] (batch, rows, columns, channels); kernel [kh, kw, C, D], C in, D out.
"""

import jax
import jax.numpy as jnp
from jax import lax

from nucseg_jax.ops.conv_reference import (
    Padding,
    convolve_depthwise_reference,
    convolve_reference,
    convolve_transpose_reference,
)
from nucseg_jax.ops.cpu.atrous_taps import convolve_atrous
from nucseg_jax.ops.cpu.depthwise_shifts import convolve_depthwise_shifted
from nucseg_jax.ops.cpu.grouped_gradient import Geometry, convolve_grouped_gradient
from nucseg_jax.ops.cpu.transpose_product import convolve_transpose_product
from nucseg_jax.ops.cpu.winograd import convolve_3x3_winograd
from nucseg_jax.ops.lowering import lowerings
from nucseg_jax.ops.transposed_gradient import convolve_transpose_by_convolution


def convolve(
    image: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: Padding = "VALID", dilation: int = 1
) -> jax.Array:
    """Computes `convolve_reference`, lowered for the platform; arguments and result as there."""
    chosen = lowerings()
    if kernel.shape[:2] == (1, 1) and padding in ("SAME", "VALID") and chosen.pointwise == "product":
        return convolve_1x1(image, kernel, stride=stride)
    if stride == 1 and padding == "SAME":
        is_odd = kernel.shape[0] % 2 == 1 == kernel.shape[1] % 2
        # In a program of any size it is not known which taps meet pixels.
        has_size = all(isinstance(size, int) for size in image.shape[1:3])
        if dilation > 1 and is_odd and has_size and chosen.atrous == "taps":
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
    """Returns True if the transforms pay; narrower dtypes have too few digits for them."""
    (_, H, W, C), D = image.shape, kernel.shape[3]
    is_wide = jnp.finfo(image.dtype).bits >= 32
    return (
        least_multiply_adds is not None
        and kernel.shape[:2] == (3, 3)
        and is_wide
        and least_multiply_adds <= H * W * C * D
    )


def convolve_1x1(image: jax.Array, kernel: jax.Array, *, stride: int = 1) -> jax.Array:
    """Computes a 1x1 convolution as one matrix product; the stride picks pixels before it."""
    picked = image[:, ::stride, ::stride, :]
    return lax.dot_general(picked, kernel[0, 0], (((3,), (0,)), ((), ())))


def convolve_transpose(image: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Computes `convolve_transpose_reference`, lowered for the platform; arguments and result as there."""
    chosen = lowerings().transpose_kernel_gradient
    if chosen == "product":
        return convolve_transpose_product(image, kernel, stride)
    if chosen == "convolution":
        return convolve_transpose_by_convolution(image, kernel, stride)
    return convolve_transpose_reference(image, kernel, stride=stride)


def convolve_depthwise(
    image: jax.Array, kernel: jax.Array, *, stride: int = 1, dilation: int = 1
) -> jax.Array:
    """Computes `convolve_depthwise_reference`, lowered for the platform; arguments and result as there."""
    if lowerings().depthwise == "shifted":
        return convolve_depthwise_shifted(image, kernel, stride=stride, dilation=dilation)
    return convolve_depthwise_reference(image, kernel, stride=stride, dilation=dilation)
