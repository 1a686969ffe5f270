"""Every lowering is the reference convolution: values, image gradient, kernel gradient; in float64, jitted."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.ops import conv
from nucseg_jax.ops.lowering import traced_for
from tests.ops.differentiation import assert_same


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def random_pair(height, width, kernel_px, channels=3, features=4, batch=2):
    rng = np.random.default_rng(height * 100 + width)
    return (
        jnp.asarray(rng.normal(size=(batch, height, width, channels))),
        jnp.asarray(rng.normal(size=(kernel_px, kernel_px, channels, features))),
    )


@pytest.mark.device
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_1x1_is_the_reference(stride, size):
    assert_same(
        functools.partial(conv.convolve_1x1, stride=stride),
        functools.partial(conv.convolve_reference, stride=stride),
        *random_pair(*size, kernel_px=1),
    )


@pytest.mark.device
@pytest.mark.parametrize("dilation", [1, 2, 6, 12, 18])
@pytest.mark.parametrize("size", [(16, 16), (8, 8), (7, 13)])
def test_atrous_is_the_reference_also_where_taps_leave_the_map(dilation, size):
    assert_same(
        functools.partial(conv.convolve_atrous, dilation=dilation),
        functools.partial(conv.convolve_reference, dilation=dilation, padding="SAME"),
        *random_pair(*size, kernel_px=3),
    )


@pytest.mark.device
@pytest.mark.parametrize("group_px", [1, 160, 10_000])
@pytest.mark.parametrize(
    ("kernel_px", "geometry"),
    [
        (3, conv.Geometry(1, "SAME", 1)),
        (3, conv.Geometry(2, "SAME", 1)),
        (3, conv.Geometry(1, "SAME", 3)),
        (7, conv.Geometry(2, ((3, 3), (3, 3)), 1)),
        (5, conv.Geometry(3, ((0, 2), (4, 1)), 2)),
    ],
)
def test_a_kernel_gradient_in_groups_is_the_whole_one(kernel_px, geometry, group_px):
    """Five images of 80 pixels: alone, in pairs with one left over, all at once."""
    assert_same(
        lambda image, kernel: conv.convolve_grouped_gradient(image, kernel, geometry, group_px),
        lambda image, kernel: conv.convolve_reference(
            image, kernel, stride=geometry.stride, padding=geometry.padding, dilation=geometry.dilation
        ),
        *random_pair(10, 8, kernel_px, batch=5),
    )


@pytest.mark.device
@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize(
    "options",
    [
        dict(kernel_px=1, stride=2, padding="SAME"),
        dict(kernel_px=3, stride=1, padding="SAME"),
        dict(kernel_px=3, stride=1, padding="SAME", dilation=6),
        dict(kernel_px=2, stride=1, padding="SAME", dilation=2),
        dict(kernel_px=7, stride=2, padding=((3, 3), (3, 3))),
        dict(kernel_px=1, stride=1, padding=((1, 1), (0, 2))),
    ],
)
def test_whatever_is_chosen_is_the_reference(platform, options):
    options = dict(options)
    pair = random_pair(12, 9, options.pop("kernel_px"))
    with traced_for(platform):
        assert_same(
            functools.partial(conv.convolve, **options),
            functools.partial(conv.convolve_reference, **options),
            *pair,
        )
