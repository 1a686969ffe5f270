"""Channels of colour times a matrix, in full precision on every device."""

from typing import TypeVar

import jax
import numpy as np

Array = TypeVar("Array", np.ndarray, jax.Array)


def mixed(values: Array, matrix: Array | np.ndarray) -> Array:
    """Computes `values @ matrix` as sums of products: accelerators round the factors of a matrix product.

    Args:
      values: float [..., K].
      matrix: [K, L]; taken in the dtype of `values`.

    Returns:
      [..., L], of the dtype of `values`.
    """
    xp = values.__array_namespace__()
    rows = xp.asarray(matrix, dtype=values.dtype)
    total: Array = values[..., :1] * rows[0]
    for index in range(1, rows.shape[0]):
        total = total + values[..., index : index + 1] * rows[index]
    return total
