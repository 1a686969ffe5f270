"""The one measure of agreement that parity tests use."""

from collections.abc import Mapping

import numpy as np


def relative_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest absolute difference, relative to the reference's largest magnitude.

    Raises:
      AssertionError: shapes differ, or the reference is zero, infinite or NaN somewhere it should not be.
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape, f"{ours.shape} is not {theirs.shape}"
    assert np.isfinite(theirs).all(), "the reference is not finite"
    largest = np.abs(theirs).max()
    assert largest > 0, "the reference is zero"
    return float(np.abs(ours - theirs).max() / largest)


def relative_differences(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """`relative_difference` by name; both sides must have the same names."""
    assert set(ours) == set(theirs), f"names differ: {sorted(set(ours) ^ set(theirs))}"
    return {name: relative_difference(ours[name], theirs[name]) for name in theirs}
