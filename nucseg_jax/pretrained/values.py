"""Reads matched arrays into float32 and refuses what no trained network has."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.pretrained.match import shortened
from nucseg_jax.pretrained.stored_array import StoredArray

_FLOATING = ("float16", "bfloat16", "float32", "float64")
# Keras counts with it, in int64; nothing computes with it.
_COUNT = "normalization/count"


def read_values(
    pairs: Mapping[str, StoredArray], source: object
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Reads every array.

    Args:
      pairs: by the name here; shapes were compared before.
      source: the file, for messages.

    Returns:
      float32 values by name, and in words what was converted.

    Raises:
      UserError: a value is NaN or infinite in float32, a variance is negative (Normalization's: not positive), or
        an array is not floating-point. All of them are named together.
    """
    faults: dict[str, list[str]] = {}
    done: Counter[str] = Counter()
    values = {}
    for name, array in pairs.items():
        if array.dtype not in _FLOATING and name != _COUNT:
            faults.setdefault("not floating-point", []).append(f"{name} ({array.dtype})")
            continue
        with np.errstate(over="ignore"):  # What overflows is found below.
            value = np.ascontiguousarray(array.read(), dtype=np.float32).reshape(array.shape)
        values[name] = value
        done.update(filter(None, [array.conversion]))
        if array.dtype != "float32" and name != _COUNT:
            done[f"{array.dtype} to float32"] += 1
        if not np.isfinite(value).all():
            faults.setdefault("NaN or infinite", []).append(name)
        elif name.endswith("/var") and value.min() < 0:
            # Zero is what a channel that never fires has.
            faults.setdefault("a negative variance", []).append(name)
        elif name == "normalization/variance" and value.min() <= 0:
            faults.setdefault("a variance that is not positive", []).append(name)
    if faults:
        lines = [f"{fault}: {shortened(names)}" for fault, names in faults.items()]
        raise UserError(
            f"{source} has values that no trained network has. " + "; ".join(lines) + ".",
            expected="finite floating-point numbers and variances that are not negative",
            advice="get the file again, or save the model again",
        )
    return values, tuple(f"{what} ({counted(number, 'array')})" for what, number in done.items())
