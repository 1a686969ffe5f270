"""Every lowering is the reference convolution: values, image gradient, kernel gradient; in float64, jitted."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.ops import conv


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def value_and_gradients(function, image, kernel):
    """The result, and the gradients of a fixed random functional of it."""

    def functional(image, kernel):
        result = function(image, kernel)
        weights = jnp.cos(jnp.arange(result.size, dtype=result.dtype)).reshape(result.shape)
        return jnp.sum(result * weights), result

    (_, result), gradients = jax.jit(jax.value_and_grad(functional, argnums=(0, 1), has_aux=True))(
        image, kernel
    )
    return result, *gradients


def random_pair(height, width, kernel_px, channels=3, features=4):
    rng = np.random.default_rng(height * 100 + width)
    return (
        jnp.asarray(rng.normal(size=(2, height, width, channels))),
        jnp.asarray(rng.normal(size=(kernel_px, kernel_px, channels, features))),
    )


def assert_same(function, reference, image, kernel):
    for found, expected in zip(
        value_and_gradients(function, image, kernel),
        value_and_gradients(reference, image, kernel),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_1x1_is_the_reference(stride, size):
    image, kernel = random_pair(*size, kernel_px=1)
    assert_same(
        functools.partial(conv.convolve_1x1, stride=stride),
        functools.partial(conv.convolve_reference, stride=stride),
        image,
        kernel,
    )


@pytest.mark.parametrize("dilation", [1, 2, 6, 12, 18])
@pytest.mark.parametrize("size", [(16, 16), (8, 8), (7, 13)])
def test_atrous_is_the_reference_also_where_taps_leave_the_map(dilation, size):
    image, kernel = random_pair(*size, kernel_px=3)
    assert_same(
        functools.partial(conv.convolve_atrous, dilation=dilation),
        functools.partial(conv.convolve_reference, dilation=dilation, padding="SAME"),
        image,
        kernel,
    )


@pytest.mark.parametrize(
    "options",
    [
        dict(kernel_px=1, stride=2, padding="SAME"),
        dict(kernel_px=3, stride=1, padding="SAME"),
        dict(kernel_px=3, stride=1, padding="SAME", dilation=6),
        dict(kernel_px=7, stride=2, padding=((3, 3), (3, 3))),
        dict(kernel_px=1, stride=1, padding=((1, 1), (0, 2))),
    ],
)
def test_whatever_is_chosen_is_the_reference(options):
    kernel_px = options.pop("kernel_px")
    image, kernel = random_pair(12, 9, kernel_px)
    assert_same(
        functools.partial(conv.convolve, **options),
        functools.partial(conv.convolve_reference, **options),
        image,
        kernel,
    )


@pytest.mark.parametrize("kernel_px", [2, 3])
def test_transposed_convolution_is_the_transpose_of_the_convolution(kernel_px):
    """<conv(x), y> = <x, conv_transpose(y)>, and the output is exactly `stride` times as large."""
    rng = np.random.default_rng(0)
    small = jnp.asarray(rng.normal(size=(2, 5, 6, 4)))
    large = jnp.asarray(rng.normal(size=(2, 10, 12, 3)))
    kernel = jnp.asarray(rng.normal(size=(kernel_px, kernel_px, 3, 4)))
    magnified = jax.jit(functools.partial(conv.convolve_transpose, stride=2))(small, kernel)
    assert magnified.shape == large.shape
    reduced = conv.convolve_reference(large, kernel, stride=2, padding="SAME")
    np.testing.assert_allclose(jnp.vdot(magnified, large), jnp.vdot(small, reduced), rtol=1e-12)
