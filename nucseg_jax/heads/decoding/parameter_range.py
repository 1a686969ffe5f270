"""The one check of a number that a rule for nuclei takes."""

import math

from nucseg_jax.core.errors import UserError


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Raises UserError unless `value` is a finite number with low <= value <= high.

    >>> require_between("tau", 0.2, 0.0, 1.0)
    """
    if not (math.isfinite(value) and low <= value <= high):
        bounds = f"{low:g} or more" if math.isinf(high) else f"{low:g} to {high:g}"
        raise UserError(f"{name} is {value}", expected=f"a number, {bounds}")
