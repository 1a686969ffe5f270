"""Pixels that nobody annotated: which they are, and what is nucleus beside them."""

from typing import TypeVar

import jax
import numpy as np

from nucseg_jax.data.dataset_info import VOID_LABEL

Array = TypeVar("Array", np.ndarray, jax.Array)


def annotated_px(label: Array, *, has_void: bool) -> Array | None:
    """Returns which pixels are annotated, bool of the shape of `label`; None = all, without looking.

    Args:
      label: uint8, any shape.
      has_void: `DatasetInfo.has_void`; under jit it decides which program is compiled.
    """
    return label != VOID_LABEL if has_void else None


def nucleus_px(label: Array, valid_px: Array | None) -> Array:
    """Returns which pixels are any nucleus, bool of the shape of `label`.

    Args:
      label: uint8, any shape.
      valid_px: from `annotated_px`.

    >>> label = np.array([0, 3, 255], np.uint8)
    >>> nucleus_px(label, annotated_px(label, has_void=True)).tolist()
    [False, True, False]
    """
    return label > 0 if valid_px is None else (label > 0) & valid_px
