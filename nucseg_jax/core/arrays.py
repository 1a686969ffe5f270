"""Names of types: arrays, and trees of them."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

# In the host's memory, or on devices.
Array: TypeAlias = jax.Array | np.ndarray
# Nested mappings, as deep as modules lie in each other: the name of a module to its tree, the name of a leaf to an
# array or to what stands for it, such as a shape, a sharding or a bool. flax types them so too.
Tree: TypeAlias = Mapping[str, Any]
# Of a linen module: {"params": ..., "batch_stats": ..., "constants": ...}, the latter two where it has any.
Variables: TypeAlias = dict[str, Tree]
