"""A target of stain normalisation as JSON: kept with its run, and read back strictly."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.ops.stain_normalization.target import METHODS, StainTarget


def target_to_json(target: StainTarget) -> dict[str, Any]:
    """Returns a target as JSON values: `method`, and `statistics` by name."""
    shapes = METHODS[target.method].shapes
    values = {name: np.asarray(getattr(target.statistics, name), float).tolist() for name in shapes}
    return {"method": target.method, "statistics": values}


def target_from_json(values: Mapping[str, Any]) -> StainTarget:
    """Reads a target from the values of `target_to_json`.

    Raises:
      UserError: an unknown method, or statistics that are not its own.

    >>> stored = {"method": "reinhard", "statistics": {"mean": [60, 20, -10], "deviation": [15, 8, 6]}}
    >>> target_from_json(stored).statistics.deviation.tolist()
    [15.0, 8.0, 6.0]
    """
    method, statistics = values.get("method"), values.get("statistics")
    if not isinstance(method, str) or method not in METHODS or not isinstance(statistics, Mapping):
        raise UserError(
            f"the target of stain normalisation has the method {method!r}",
            expected=f"{' or '.join(map(repr, METHODS))}, and its statistics",
        )
    row = METHODS[method]
    if statistics.keys() != row.shapes.keys():
        raise UserError(
            f"the target of stain normalisation has {', '.join(map(str, statistics)) or 'nothing'}",
            expected=f"{' and '.join(row.shapes)} of {method}",
        )
    arrays = [_array(name, statistics[name], shape) for name, shape in row.shapes.items()]
    return StainTarget(method, row.kind(*arrays, np.asarray(True)))


def _array(name: str, value: object, shape: tuple[int, ...]) -> np.ndarray:
    """Returns nested lists of numbers as float64 of a shape; raises UserError for anything else."""
    try:
        if not _is_numbers(value):
            raise ValueError
        array: np.ndarray = np.asarray(value, float).reshape(shape)
    except ValueError:
        raise UserError(
            f"{name} of the target of stain normalisation is {value!r}",
            expected=f"{math.prod(shape)} finite numbers, {' x '.join(map(str, shape))}",
        ) from None
    return array


def _is_numbers(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
