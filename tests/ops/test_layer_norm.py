"""Layer norm over channels against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.ops.layer_norm import normalise_channels


def reference(image, scale, offset, epsilon):
    image = np.asarray(image, np.float64)
    mean = image.mean(axis=-1, keepdims=True)
    return (image - mean) / np.sqrt(image.var(axis=-1, keepdims=True) + epsilon) * scale + offset


@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_every_pixel_has_its_own_moments_also_far_from_zero(mean):
    """E[x^2] - E[x]^2 would leave no digits of a variance of 1 beside a mean of 1000."""
    rng = np.random.default_rng(0)
    image = rng.normal(mean, 1.0, (2, 3, 5, 16)).astype(np.float32)
    scale, offset = (rng.normal(size=16).astype(np.float32) for _ in range(2))
    found = jax.jit(lambda *x: normalise_channels(*x, epsilon=1e-6))(image, scale, offset)
    np.testing.assert_allclose(found, reference(image, scale, offset, 1e-6), atol=1e-3 if mean else 1e-5)


def test_bfloat16_is_normalised_in_float32():
    image = jnp.asarray(np.random.default_rng(1).normal(3.0, 0.1, (1, 2, 2, 32)), jnp.bfloat16)
    found = normalise_channels(image, jnp.ones(32), jnp.zeros(32), epsilon=1e-6)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, reference(image, 1.0, 0.0, 1e-6), atol=1e-4)
