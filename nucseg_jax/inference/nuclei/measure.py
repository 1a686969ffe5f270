"""Measures of nuclei: size, shape, probability, stain. All nuclei of a window together, by sums over pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.class_votes import class_votes
from nucseg_jax.heads.decoding.neighbours import NEIGHBOURS
from nucseg_jax.inference.nuclei.any_class import ANY_CLASS
from nucseg_jax.ops.stain import EOSIN, HEMATOXYLIN, optical_density, unmixed

# Columns of a table of nuclei, and their dtypes. x to the right, y down, from the image's upper left corner; the
# centre of the first pixel is (.5, .5). Amounts of stain: `ops.stain`, mean over the nucleus's pixels.
COLUMNS: dict[str, Any] = {
    "nucleus": np.uint32,
    "class": object,
    "x_px": np.float64,
    "y_px": np.float64,
    "x_um": np.float64,
    "y_um": np.float64,
    "area_um2": np.float64,
    "perimeter_um": np.float64,
    "eccentricity": np.float64,
    "mean_probability": np.float64,
    "mean_haematoxylin": np.float64,
    "mean_eosin": np.float64,
}
# Of nuclei that were measured with the probabilities of their classes.
CLASS_PROBABILITY = "class_probability"
COLUMNS_WITH_CLASS_PROBABILITY: dict[str, Any] = COLUMNS | {CLASS_PROBABILITY: np.float64}

Table = dict[str, np.ndarray]


def measure_nuclei(
    nuclei: np.ndarray,
    *,
    first: int,
    count: int,
    top: int,
    band: Band,
    class_names: Sequence[str],
    image: np.ndarray,
    microns_per_px: float,
) -> Table:
    """Measures nuclei that lie whole in a window of the image.

    The perimeter is that of Crofton's formula in four directions; the eccentricity that of the ellipse with the same
    second moments, 0 = round, below 1; the class that of most pixels, or with `class_levels` that of the largest
    probability summed over the nucleus, background left out; the first of equals.

    Args:
      nuclei: uint32 [h, W]: 0, or numbers from `first` to `first` + `count` - 1.
      first, count: see `nuclei`.
      top: row of the image at which the window begins.
      band: the model's outputs in the window.
      class_names: C names; not looked at without classes.
      image: uint8 [h, W, 3].
      microns_per_px: of the image.

    Returns:
      `COLUMNS`, each [count], in the order of the numbers. With `class_levels` also `class_probability`, 0..1: the
      share of the nucleus's class in the summed probability of all C; 0 where none of its pixels has any.
    """
    rows, columns = np.nonzero(nuclei)
    index = nuclei[rows, columns].astype(np.int64) - first

    def total(weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(index, weights, minlength=count)

    area: np.ndarray = total().astype(np.float64)
    y, x = rows + 0.5, columns + 0.5
    mean_y, mean_x = total(y) / area, total(x) / area
    off_y, off_x = y - mean_y[index], x - mean_x[index]
    # 8-bit images have 256 densities, and the amounts are linear in them.
    densities = optical_density(np.arange(256.0))
    pixels = image[rows, columns]
    amounts = unmixed(np.stack([total(densities[pixels[:, channel]]) for channel in range(3)], axis=-1))
    named: np.ndarray = np.full(count, ANY_CLASS, object)
    votes = class_votes(nuclei, band, first=first, count=count)
    if votes is not None:
        named = np.array(class_names, object)[votes.argmax(axis=1)]
    table = {
        "nucleus": np.arange(first, first + count, dtype=np.uint32),
        "class": named,
        "x_px": mean_x,
        "y_px": mean_y + top,
        "x_um": mean_x * microns_per_px,
        "y_um": (mean_y + top) * microns_per_px,
        "area_um2": area * microns_per_px**2,
        "perimeter_um": perimeters(nuclei, first=first, count=count) * microns_per_px,
        "eccentricity": _eccentricity(
            total(off_y * off_y) / area, total(off_x * off_x) / area, total(off_y * off_x) / area
        ),
        "mean_probability": total(band.level[rows, columns] / 255.0) / area,
        "mean_haematoxylin": amounts[:, HEMATOXYLIN] / area,
        "mean_eosin": amounts[:, EOSIN] / area,
    }
    if votes is not None and band.class_levels is not None:
        table[CLASS_PROBABILITY] = votes.max(axis=1) / np.maximum(votes.sum(axis=1), 1.0)
    return table


def _eccentricity(yy: np.ndarray, xx: np.ndarray, yx: np.ndarray) -> np.ndarray:
    """From second moments of pixels' centres, as scikit-image has it; 0 for a single pixel."""
    middle, apart = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    longer = np.maximum(middle + apart, np.finfo(np.float64).tiny)
    return np.sqrt(np.clip(2.0 * apart / longer, 0.0, 1.0))


def perimeters(nuclei: np.ndarray, *, first: int, count: int) -> np.ndarray:
    """Perimeters in px by Crofton's formula in four directions, float64 [count]; arguments as in `measure_nuclei`.

    pi / 2 times the mean over directions of (crossings of the outline by lines a pixel apart) x (their distance).
    """
    padded = np.pad(nuclei, 1)
    crossings = []
    for (one, other), distance in zip(NEIGHBOURS, (1.0, 1.0, 0.5**0.5, 0.5**0.5), strict=True):
        differs = padded[one] != padded[other]
        numbers = np.concatenate([padded[one][differs], padded[other][differs]]).astype(np.int64)
        numbers = numbers[numbers > 0] - first
        crossings.append(distance * np.bincount(numbers, minlength=count))
    return np.pi / 2 * np.mean(crossings, axis=0)
