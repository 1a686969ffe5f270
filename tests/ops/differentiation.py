"""A function's value and gradients beside those of its definition; in float64 and jitted."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np


def value_and_gradients(function: Callable[..., jax.Array], *arguments: jax.Array) -> tuple[jax.Array, ...]:
    """The result, and the gradients of a fixed functional of it, by every argument."""

    def functional(*arguments: jax.Array) -> tuple[jax.Array, jax.Array]:
        result = function(*arguments)
        weights = jnp.cos(jnp.arange(result.size, dtype=result.dtype)).reshape(result.shape)
        return jnp.sum(result * weights), result

    differentiate = jax.value_and_grad(functional, argnums=tuple(range(len(arguments))), has_aux=True)
    (_, result), gradients = jax.jit(differentiate)(*arguments)
    return result, *gradients


def assert_same(function, reference, *arguments, tolerance=1e-12):
    """Values and gradients agree to `tolerance` times the reference's largest magnitude."""
    for found, expected in zip(
        value_and_gradients(function, *arguments), value_and_gradients(reference, *arguments), strict=True
    ):
        assert found.dtype == expected.dtype
        scale = float(np.max(np.abs(expected), initial=0.0)) or 1.0
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)
