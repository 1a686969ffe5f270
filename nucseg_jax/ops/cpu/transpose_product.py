"""Transposed convolutions 'SAME' whose kernel gradient is one matrix product.

Notation: image [N, H, W, C]; kernel [kh, kw, D, C], out before in as Keras stores it; stride s.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from nucseg_jax.ops.conv_reference import convolve_reference, convolve_transpose_reference


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_transpose_product(image: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Computes `convolve_transpose_reference`; its kernel gradient is one matrix product.

    XLA's CPU backend has no fast form of that gradient: it took 4 of 8 s of a U-Net's step.
    """
    return convolve_transpose_reference(image, kernel, stride=stride)


def _forward(
    image: jax.Array, kernel: jax.Array, stride: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return convolve_transpose_reference(image, kernel, stride=stride), (image, kernel)


def _backward(
    stride: int, residual: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    image, kernel = residual
    kernel_height, kernel_width, D, C = kernel.shape
    # The transpose of a transpose: the convolution itself.
    image_gradient = convolve_reference(gradient, kernel, stride=stride, padding="SAME")
    windows = _windows(gradient, (kernel_height, kernel_width), stride)
    kernel_gradient = lax.dot_general(windows, image, (((0, 1, 2), (0, 1, 2)), ((), ())))
    return image_gradient, kernel_gradient.reshape(kernel_height, kernel_width, D, C)


convolve_transpose_product.defvjp(_forward, _backward)


def _windows(image: jax.Array, taps: tuple[int, int], stride: int) -> jax.Array:
    """Returns what each step of a 'SAME' convolution sees: [N, H * s, W * s, D] to [N, H, W, kh * kw * D]."""
    height, width = image.shape[1:3]
    steps = (height // stride, width // stride)
    padding = [
        (max(size - stride, 0) // 2, max(size - stride, 0) - max(size - stride, 0) // 2) for size in taps
    ]
    padded = jnp.pad(image, ((0, 0), *padding, (0, 0)))
    slices = [
        padded[
            :,
            row : row + (steps[0] - 1) * stride + 1 : stride,
            column : column + (steps[1] - 1) * stride + 1 : stride,
        ]
        for row in range(taps[0])
        for column in range(taps[1])
    ]
    return jnp.concatenate(slices, axis=-1)
