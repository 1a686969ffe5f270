"""Transposed convolutions 'SAME' whose kernel gradient is that of the convolution they transpose.

Notation: image [N, H, W, C]; kernel [kh, kw, D, C], out before in as Keras stores it; stride s.
"""

import functools

import jax

from nucseg_jax.ops.conv_reference import convolve_reference, convolve_transpose_reference


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_transpose_by_convolution(image: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Computes `convolve_transpose_reference`; its gradients are those of a convolution with this stride.

    JAX's own kernel gradient dilates the image by the stride and makes it the kernel of a convolution: XLA's compiler
    for GPUs gave cuDNN windows of 255 x 255 px there, in a layout that no other kernel shares. As the gradient of a
    strided convolution it becomes cuDNN's own backward filter, with a quarter of the arithmetic at stride 2.
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

    def convolve(kernel: jax.Array) -> jax.Array:
        return convolve_reference(gradient, kernel, stride=stride, padding="SAME")

    # <T(image, kernel), gradient> = <image, convolve(kernel)>: linear in the kernel, with this transpose.
    (kernel_gradient,) = jax.linear_transpose(convolve, kernel)(image)
    return convolve(kernel), kernel_gradient


convolve_transpose_by_convolution.defvjp(_forward, _backward)
