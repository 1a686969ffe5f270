"""Moments and normalisation against numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.ops.batch_norm import channel_moments, normalise


def test_moments_are_mean_and_biased_variance():
    image = np.random.default_rng(0).normal(2.0, 3.0, size=(3, 5, 7, 4)).astype(np.float32)
    mean, variance = jax.jit(channel_moments)(image)
    wide = image.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, wide.var(axis=(0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_constant_channel_has_variance_zero_and_never_less(dtype):
    """E[x^2] - E[x]^2 rounds below zero; its root would be NaN."""
    constants = np.append(np.linspace(0.2, 6.0, 500), 1234.567)
    image = jnp.broadcast_to(jnp.asarray(constants, dtype), (2, 9, 9, 501))
    _, variance = jax.jit(channel_moments)(image)
    assert variance.dtype == jnp.float32
    assert np.all(variance >= 0)
    # What rounding leaves of the square.
    assert np.all(variance < 1e-5 * constants**2)


def test_normalised_values_have_the_asked_moments():
    image = np.random.default_rng(1).normal(5.0, 2.0, size=(4, 6, 6, 3)).astype(np.float32)
    scale, offset = jnp.array([1.0, 2.0, 0.5]), jnp.array([0.0, -1.0, 3.0])

    @jax.jit
    def run(image):
        return normalise(image, *channel_moments(image), scale, offset, epsilon=0.0)

    result = np.asarray(run(image), np.float64)
    np.testing.assert_allclose(result.mean(axis=(0, 1, 2)), offset, atol=1e-5)
    np.testing.assert_allclose(result.std(axis=(0, 1, 2)), scale, rtol=1e-5)
