import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nucseg_jax.ops.pool import (
    global_average_pool,
    max_pool_3x3_stride_2_reference,
    max_pool_3x3_stride_2_slices,
)
from nucseg_jax.ops.resize import resize_bilinear, upsample_nearest
from tests.ops.differentiation import assert_same


@pytest.mark.device
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (1, 3)])
def test_max_pool_by_slices_is_the_reference_and_that_is_flaxs(size):
    """No two values are equal: ties share the gradient in one and not in the other."""
    with jax.enable_x64(True):
        values = np.random.default_rng(0).permutation(2 * size[0] * size[1] * 3) + 1.0
        image = jnp.asarray(values.reshape(2, *size, 3))
        assert_same(max_pool_3x3_stride_2_slices, max_pool_3x3_stride_2_reference, image)
        assert_same(
            max_pool_3x3_stride_2_reference,
            lambda x: nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1))),
            image,
        )


@pytest.mark.device
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_nearest_magnification_is_the_reference(factor):
    with jax.enable_x64(True):
        image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 5, 4)))
        assert_same(
            functools.partial(upsample_nearest, factor=factor),
            lambda x: jax.image.resize(x, (2, 3 * factor, 5 * factor, 4), "nearest"),
            image,
        )


def test_global_average_pool_keeps_a_constant():
    assert np.all(np.asarray(global_average_pool(jnp.full((2, 5, 7, 3), 4.0))) == 4.0)


@pytest.mark.device
def test_bilinear_has_half_pixel_centres_and_clamped_edges():
    """Doubling [0, 1] by hand: centres at -.25, .25, .75, 1.25."""
    image = jnp.array([0.0, 1.0]).reshape(1, 1, 2, 1)
    found = jax.jit(lambda x: resize_bilinear(x, 1, 4))(image)
    np.testing.assert_allclose(found.ravel(), [0.0, 0.25, 0.75, 1.0], atol=1e-7)


def test_bilinear_commutes_with_a_1x1_convolution_and_bias():
    """Why the head may come before the magnification."""
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.normal(size=(2, 6, 5, 8)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(8, 2)), jnp.float32)
    before = resize_bilinear(image @ kernel + 3.0, 24, 20)
    after = resize_bilinear(image, 24, 20) @ kernel + 3.0
    np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-5)
