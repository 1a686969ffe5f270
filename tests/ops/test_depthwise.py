"""The shifted depthwise convolution is XLA's grouped one: values and both gradients; in float64, jitted."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.ops import conv
from tests.ops.differentiation import assert_same


@pytest.mark.device
@pytest.mark.parametrize("kernel_px", [3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (1, 4), (3, 1)])
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (1, 5)])
def test_shifted_is_the_reference(kernel_px, stride, dilation, size):
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        image = jnp.asarray(rng.normal(size=(2, *size, 6)))
        kernel = jnp.asarray(rng.normal(size=(kernel_px, kernel_px, 1, 6)))
        geometry = dict(stride=stride, dilation=dilation)
        assert_same(
            functools.partial(conv.convolve_depthwise_shifted, **geometry),
            functools.partial(conv.convolve_depthwise_reference, **geometry),
            image,
            kernel,
        )


@pytest.mark.device
def test_channels_do_not_mix():
    """A channel of zeros stays zero whatever the others hold."""
    image = jnp.ones((1, 6, 6, 3)).at[..., 1].set(0.0)
    result = jax.jit(conv.convolve_depthwise)(image, jnp.ones((3, 3, 1, 3)))
    assert not np.any(result[..., 1])
    np.testing.assert_array_equal(result[0, 2, 2], [9, 0, 9])
