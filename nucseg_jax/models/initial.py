"""A model's variables before training, drawn on the host: nothing is compiled and no forward pass runs."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.keys import Stream
from nucseg_jax.core.tree import leaf_name
from nucseg_jax.models.initializers import Initializer
from nucseg_jax.models.interfaces import HasVariables
from nucseg_jax.models.layers import (
    CONSTANTS,
    LAYER_SCALE_START,
    Conv,
    ConvTranspose,
    DepthwiseConv,
    Normalization,
    glorot_uniform_transposed,
)

# Side of the image that Table 1 counts arithmetic for; parameters do not depend on it.
TABLE_1_PX = 256
# The start of every leaf of these names, in Keras and PyTorch too.
_FILLED = {
    "params/bias": 0.0,
    "params/scale": 1.0,
    "params/gamma": LAYER_SCALE_START,
    "batch_stats/mean": 0.0,
    "batch_stats/var": 1.0,
}


class VariableStart(NamedTuple):
    """The variables of a model before training, by name and leaf; one trace of the model gives all three.

    Attributes:
      shapes: tree of `jax.ShapeDtypeStruct`.
      kernels: {name: distribution} of every kernel.
      constants: {name: value} of every variable that no step changes.
    """

    shapes: Variables
    kernels: dict[str, Initializer]
    constants: dict[str, float | Sequence[float] | np.ndarray]


# Tracing a full-size model takes seconds, and a training run needs its variables three times.
@functools.lru_cache(maxsize=32)
def _trace_variables(model: HasVariables, px: int) -> VariableStart:
    kernels: dict[str, Initializer] = {}
    constants: dict[str, float | Sequence[float] | np.ndarray] = {}

    def look(
        call: Callable[..., object],
        args: tuple[object, ...],
        kwargs: dict[str, object],
        context: nn.module.InterceptorContext,
    ) -> object:
        layer = context.module
        path = "/".join(layer.path)
        if isinstance(layer, Conv | DepthwiseConv):
            kernels[f"params/{path}/kernel"] = layer.kernel_init
        elif isinstance(layer, ConvTranspose):
            kernels[f"params/{path}/kernel"] = glorot_uniform_transposed
        elif isinstance(layer, Normalization):
            deviation = np.asarray(layer.defaults.standard_deviation, np.float32)
            constants[f"{CONSTANTS}/{path}/mean"] = layer.defaults.mean
            constants[f"{CONSTANTS}/{path}/variance"] = np.square(deviation)
            constants[f"{CONSTANTS}/{path}/count"] = 0.0
        return call(*args, **kwargs)

    image = jax.ShapeDtypeStruct((1, px, px, 3), jnp.uint8)
    with nn.intercept_methods(look):
        shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    return VariableStart(shapes, kernels, constants)


def abstract_variables(model: HasVariables, *, px: int = TABLE_1_PX) -> Variables:
    """Returns the model's variables as shapes and dtypes; computes nothing."""
    # A copy: callers may change what they get.
    copied: Variables = jax.tree.map(lambda leaf: leaf, _trace_variables(model, px).shapes)
    return copied


def initial_variables(model: HasVariables, seed: int, *, px: int = TABLE_1_PX) -> Variables:
    """Draws what `model.init` gives, in structure, shapes and distributions, without compiling anything.

    Every kernel is drawn by its own name: what one layer starts from depends on no other, on no backend and on
    no version of JAX.

    Args:
      model: made of the layers of `models.layers`.
      seed: of the run.
      px: side of an image that the model takes.

    Returns:
      `params`, `batch_stats` and, where the model has them, `constants`: trees of numpy arrays, float32.

    Raises:
      ValueError: a layer whose start is not known here.
    """
    start = _trace_variables(model, px)

    def drawn(path: tuple[object, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name = leaf_name(path)
        kind = f"{name.partition('/')[0]}/{name.rpartition('/')[2]}"
        if name in start.kernels:
            generator = np.random.default_rng([seed, Stream.INITIAL_WEIGHTS, *name.encode()])
            return start.kernels[name].draw(generator, leaf.shape)
        if name in start.constants:
            return np.asarray(start.constants[name], leaf.dtype)
        if kind in _FILLED:
            return np.full(leaf.shape, _FILLED[kind], leaf.dtype)
        raise ValueError(f"{name} is of a layer whose start is not known")

    variables: Variables = jax.tree_util.tree_map_with_path(drawn, start.shapes)
    return variables
