"""Initial values of kernels: Keras's variance scaling, for linen's `init` and, without a compiler, for numpy.

Three hundred random draws in one program take XLA longer to compile than the model's forward pass.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike

# Standard deviation of a unit normal cut off at two of its own.
_TRUNCATED_DEVIATION = 0.87962566103423978


class Initializer(Protocol):
    """A distribution of kernels, drawn by JAX or, without a compiler, by NumPy."""

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> jax.Array:
        """Draws a kernel by JAX's random numbers; a linen initializer."""
        ...

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Draws a kernel of the same distribution by NumPy's random numbers, float32."""
        ...

    def variance(self, shape: Sequence[int]) -> float:
        """Returns the variance of a kernel of this shape."""
        ...


@dataclasses.dataclass(frozen=True)
class Normal:
    """A normal distribution of mean 0, whatever the kernel's shape.

    This is PyTorch's `trunc_normal_(std=.02)` too: its bounds are -2 and 2, not multiples of the deviation, and at
    that deviation no value reaches them.

    Attributes:
      deviation: the standard deviation.
    """

    deviation: float

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> jax.Array:
        """Draws a kernel by JAX's random numbers; a linen initializer."""
        return nn.initializers.normal(self.deviation)(key, shape, dtype)

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Draws a kernel of the same distribution by NumPy's random numbers, float32."""
        return generator.standard_normal(shape, np.float32) * np.float32(self.deviation)

    def variance(self, shape: Sequence[int]) -> float:
        """Returns the variance of a kernel of this shape."""
        del shape
        return self.deviation**2


@dataclasses.dataclass(frozen=True)
class VarianceScaling:
    """Keras's VarianceScaling (arXiv:1502.01852): variance = scale / fan, mean 0.

    Fan-in is the input channels times the kernel's area, fan-out the output channels times the area, fan_avg
    their mean.

    Attributes:
      scale: positive.
      mode: which fan.
      distribution: uniform, normal, or normal cut off at two standard deviations.
      in_axis, out_axis: of the kernel's channels.
    """

    scale: float
    mode: Literal["fan_in", "fan_out", "fan_avg"]
    distribution: Literal["uniform", "normal", "truncated_normal"]
    in_axis: int = -2
    out_axis: int = -1

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> jax.Array:
        """A kernel by JAX's random numbers; a linen initializer."""
        initializer = nn.initializers.variance_scaling(
            self.scale, self.mode, self.distribution, in_axis=self.in_axis, out_axis=self.out_axis
        )
        return initializer(key, shape, dtype)

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """A kernel of the same distribution by numpy's random numbers, float32."""
        deviation = math.sqrt(self.variance(shape))
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * deviation
            values = generator.random(shape, np.float32)
            return (values - np.float32(0.5)) * np.float32(2.0 * limit)
        values = generator.standard_normal(shape, np.float32)
        if self.distribution == "truncated_normal":
            # One value in 22 is beyond, one in 480 still is after the first redraw, ...
            beyond = np.flatnonzero(np.abs(values) > 2.0)
            while beyond.size:
                values.flat[beyond] = generator.standard_normal(beyond.size, np.float32)
                beyond = beyond[np.abs(values.flat[beyond]) > 2.0]
            deviation /= _TRUNCATED_DEVIATION
        return values * np.float32(deviation)

    def variance(self, shape: Sequence[int]) -> float:
        """Draws a kernel of this shape."""
        inputs, outputs = shape[self.in_axis], shape[self.out_axis]
        area = math.prod(shape) / (inputs * outputs)
        fan = {"fan_in": inputs * area, "fan_out": outputs * area, "fan_avg": (inputs + outputs) * area / 2}
        return self.scale / fan[self.mode]
