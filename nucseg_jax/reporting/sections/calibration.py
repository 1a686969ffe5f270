"""Calibration of predicted probabilities: reliability curves and the expected calibration error.

Bins as in Guo et al. (2017): ten of equal width over 0..1; the error is the mean over all pixels of the distance
between a bin's share of nucleus pixels and its mean predicted probability.
"""

from typing import NamedTuple

import numpy as np

from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.calibration import LEVELS
from nucseg_jax.reporting.page.chart import MOST_LINES, Chart, Panel, Point, Series
from nucseg_jax.reporting.page.document import Block, Csv, Figure, Gap, Table, Value
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.sections.cells import SPLIT_WORDS, chunks, listed, over_runs, short
from nucseg_jax.reporting.sections.part import Part

SPLIT = "test"
BINS = 10


class Reliability(NamedTuple):
    """Of B bins: float64 [B] each, NaN where a bin is empty but for `share`.

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


def calibration_blocks(part: Part) -> list[Block]:
    """Returns a chart of the test split, and the errors of all splits."""
    runs = [run for configuration in part.configurations for run in configuration.finished]
    without = [run for run in runs if SPLIT not in run.calibration]
    blocks: list[Block] = []
    if without:
        blocks.append(
            Gap(
                f"No calibration_{SPLIT}.csv in {listed([str(run.path) for run in without])}: runs of this version"
                " write it at their end.",
                next_command.train_again(without[0]),
            )
        )
    with_levels = [
        each for each in part.configurations if any(SPLIT in run.calibration for run in each.finished)
    ]
    return [*blocks, _figure(part, with_levels), _table(part, with_levels)] if with_levels else blocks


def _figure(part: Part, configurations: list[Configuration]) -> Figure:
    series, errors = [], []
    for number, each in enumerate(configurations):
        pooled = np.sum([run.calibration[SPLIT] for run in each.finished if SPLIT in run.calibration], axis=0)
        bins = reliability(pooled)
        points = tuple(Point(float(x), float(y)) for x, y, share in zip(*bins, strict=True) if share > 0)
        series.append(Series(each.label, points, number % MOST_LINES, "marked"))
        errors.append(f"{each.label} {short(expected_calibration_error(pooled))}")
    return Figure(
        part.file("calibration"),
        "Share of nucleus among the test pixels that were given a probability, in ten bins, runs pooled. On the dashed"
        " diagonal a probability is true; below it the model is too sure of nuclei. Most pixels are near 0 or 1.",
        f"Reliability curves; expected calibration error of the pooled runs: {', '.join(errors)}.",
        Chart(
            "predicted probability of nucleus",
            "share of nucleus",
            tuple(Panel("", tuple(some)) for some in chunks(series, MOST_LINES)),
            has_diagonal=True,
        ),
    )


def _table(part: Part, configurations: list[Configuration]) -> Table:
    rows = []
    exact: list[tuple[Value, ...]] = []
    for each in configurations:
        cells = []
        for split in SPLIT_NAMES:
            errors = [
                (run, expected_calibration_error(run.calibration[split]))
                for run in each.finished
                if split in run.calibration
            ]
            cells.append(over_runs([error for _, error in errors]))
            exact += [
                (each.name, each.label, str(run.path), f"calibration_{split}.csv", run.seed, split, error)
                for run, error in errors
            ]
        rows.append((each.label, *cells))
    columns = ("configuration", "label", "run", "file", "seed", "split", "expected_calibration_error")
    return Table(
        part.file("calibration_error"),
        "Expected calibration error, ten bins of equal width, over all pixels of a split; mean over runs ± sample"
        " standard deviation. 0 is perfect; background that is predicted with certainty makes it small.",
        ("configuration", *(SPLIT_WORDS[split] for split in SPLIT_NAMES)),
        tuple(rows),
        Csv(columns, tuple(exact)),
    )
