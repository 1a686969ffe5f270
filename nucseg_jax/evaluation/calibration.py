"""Calibration: pixels counted by the probability that a model gives them and by truth.

A level is a probability in 255ths, 0..255, the nearest one on its own side of 0.5 (`ops.levels`): levels above
127 are exactly the pixels that are scored as nucleus. Levels of a split are int64 [256, 2]: for each level the pixels
that are background and those that are nucleus, exact, so that any calibration curve follows from them.
Curves have bins as in Guo et al. (2017): ten of equal width over 0..1; the expected calibration error is the mean over
all pixels of the distance between a bin's share of nucleus pixels and its mean predicted probability.

    level,background_pixels,nucleus_pixels
    0,3120443,20117
"""

import csv
import pathlib
from typing import NamedTuple

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import atomic_write

LEVELS = 256
BINS = 10
_HEADER = ("level", "background_pixels", "nucleus_pixels")


def calibration_path(run: pathlib.Path, split: str) -> pathlib.Path:
    """Returns the path of a split's levels in a run folder."""
    return run / f"calibration_{split}.csv"


def no_levels() -> np.ndarray:
    """The levels of no pixel."""
    return np.zeros((LEVELS, 2), np.int64)


def count_levels(level: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pixels by level and truth.

    Args:
      level: uint8, any shape.
      truth: bool, same shape.

    Returns:
      int64 [256, 2]: background, nucleus.

    >>> count_levels(np.array([0, 255, 255], np.uint8), np.array([False, True, False]))[255].tolist()
    [1, 1]
    """
    cells = np.bincount(level.ravel().astype(np.int64) * 2 + truth.ravel(), minlength=2 * LEVELS)
    return cells.reshape(LEVELS, 2)


def write_levels(path: pathlib.Path, levels: np.ndarray) -> None:
    """Writes levels, int64 [256, 2], atomically."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows((level, *pixels) for level, pixels in enumerate(levels.tolist()))


def read_levels(path: pathlib.Path) -> np.ndarray:
    """Reads a file of `write_levels`.

    Raises:
      UserError: the file is missing, or is not such a file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file)
        cells = np.array(lines, np.int64)
        fits = tuple(header) == _HEADER and cells.shape == (LEVELS, 3) and (cells >= 0).all()
        if not fits or (cells[:, 0] != np.arange(LEVELS)).any():
            raise ValueError("not 256 lines of level, background and nucleus pixels")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}", expected="a file that train wrote"
        ) from None
    except (ValueError, TypeError, OverflowError, csv.Error) as error:
        raise UserError(
            f"{path} is no table of levels ({error})", expected="a calibration_{split}.csv that train wrote"
        ) from None
    return cells[:, 1:]


class Reliability(NamedTuple):
    """Calibration of B bins: float64 [B] each, NaN where a bin is empty but for `share`.

    Attributes:
      predicted: mean predicted probability of nucleus.
      observed: share of the pixels that are nucleus.
      share: of all pixels.
    """

    predicted: np.ndarray
    observed: np.ndarray
    share: np.ndarray


def reliability(pixels: np.ndarray) -> Reliability:
    """Bins the levels.

    Args:
      pixels: int64 [256, 2], background and nucleus pixels by level; level / 255 is the probability.
    """
    level = np.arange(LEVELS)
    probability = level / (LEVELS - 1)
    place = np.minimum(level * BINS // (LEVELS - 1), BINS - 1)
    of_level = pixels.sum(axis=1).astype(np.float64)

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(place, weights=values, minlength=BINS)

    total = summed(of_level)
    with np.errstate(invalid="ignore"):
        return Reliability(
            predicted=summed(of_level * probability) / total,
            observed=summed(pixels[:, 1].astype(np.float64)) / total,
            share=total / max(of_level.sum(), 1.0),
        )


def expected_calibration_error(pixels: np.ndarray) -> float | None:
    """Returns the mean distance of observed from predicted over all pixels, by bins; None without a pixel."""
    if not pixels.sum():
        return None
    bins = reliability(pixels)
    return float(np.nansum(bins.share * np.abs(bins.observed - bins.predicted)))
