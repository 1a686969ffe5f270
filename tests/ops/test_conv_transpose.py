"""Transposed convolution: the transpose of the convolution, and the forms of its kernel gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.ops import conv
from tests.ops.differentiation import assert_same


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.device
@pytest.mark.parametrize("form", [conv.convolve_transpose_product, conv.convolve_transpose_by_convolution])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (4, 5)])
@pytest.mark.parametrize("size", [(4, 4), (5, 6), (1, 3)])
def test_each_form_is_the_reference(form, stride, kernel, size):
    rng = np.random.default_rng(0)
    assert_same(
        lambda image, weights: form(image, weights, stride),
        functools.partial(conv.convolve_transpose_reference, stride=stride),
        jnp.asarray(rng.normal(size=(2, *size, 4))),
        jnp.asarray(rng.normal(size=(*kernel, 3, 4))),
    )


@pytest.mark.device
@pytest.mark.parametrize("kernel_px", [2, 3])
def test_it_is_the_transpose_of_the_convolution(kernel_px):
    """<conv(x), y> = <x, conv_transpose(y)>, and the output is exactly `stride` times as large."""
    rng = np.random.default_rng(0)
    small = jnp.asarray(rng.normal(size=(2, 5, 6, 4)))
    large = jnp.asarray(rng.normal(size=(2, 10, 12, 3)))
    kernel = jnp.asarray(rng.normal(size=(kernel_px, kernel_px, 3, 4)))
    magnified = jax.jit(functools.partial(conv.convolve_transpose, stride=2))(small, kernel)
    assert magnified.shape == large.shape
    reduced = conv.convolve_reference(large, kernel, stride=2, padding="SAME")
    np.testing.assert_allclose(jnp.vdot(magnified, large), jnp.vdot(small, reduced), rtol=1e-12)
