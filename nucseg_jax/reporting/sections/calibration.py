"""Whether predicted probabilities are what they say: reliability curves and the expected calibration error.

Bins as in Guo et al. (2017): ten of equal width over 0..1; the error is the mean over all pixels of the distance
between a bin's share of nucleus pixels and its mean predicted probability.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure as Chart
from matplotlib.ticker import FuncFormatter, NullFormatter

from nucseg_jax.evaluation.calibration import LEVELS
from nucseg_jax.reporting.page.document import (
    NOT_MEASURED,
    Block,
    Figure,
    Gap,
    Heading,
    Numbers,
    Table,
    Value,
)
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.sections.cells import listed, over_runs
from nucseg_jax.reporting.sections.drawing import FAINT, LOOKS, MOST_LINES, chart, chunks, wrapped
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
    """Mean distance of observed from predicted over all pixels, by bins; None without a pixel."""
    if not pixels.sum():
        return None
    bins = reliability(pixels)
    return float(np.nansum(bins.share * np.abs(bins.observed - bins.predicted)))


def calibration_blocks(part: Part) -> list[Block]:
    """A chart of the test split, and the errors of all splits."""
    blocks: list[Block] = [Heading("Calibration", 3)]
    without = [
        run
        for configuration in part.cohort.scored
        for run in configuration.finished
        if SPLIT not in run.calibration
    ]
    if without:
        blocks.append(
            Gap(
                f"No calibration_{SPLIT}.csv in {listed([str(run.path) for run in without])}: runs of this version"
                " write it at their end.",
                next_command.train_again(without[0]),
            )
        )
    shown = [
        configuration
        for configuration in part.cohort.scored
        if any(SPLIT in run.calibration for run in configuration.finished)
    ]
    for start, some in chunks(shown, MOST_LINES):
        blocks.append(_figure(part, some, "" if start == 0 else f"_sheet_{start // MOST_LINES + 1}"))
    if shown:
        blocks.append(_table(part, shown))
    return blocks


def _pooled(configuration: Configuration) -> np.ndarray:
    return np.sum(
        [run.calibration[SPLIT] for run in configuration.finished if SPLIT in run.calibration], axis=0
    )


def _figure(part: Part, configurations: Sequence[Configuration], sheet: str) -> Figure:
    numbers: list[tuple[Value, ...]] = []
    for configuration in configurations:
        for run in configuration.finished:
            if SPLIT in run.calibration:
                bins = reliability(run.calibration[SPLIT])
                for number, values in enumerate(zip(*bins, strict=True)):
                    key = (configuration.name, str(run.path), f"calibration_{SPLIT}.csv", run.seed)
                    defined = (None if np.isnan(value) else float(value) for value in values)
                    numbers.append((*key, SPLIT, number / BINS, (number + 1) / BINS, *defined))
    errors = {
        configuration.name: expected_calibration_error(_pooled(configuration))
        for configuration in configurations
    }
    return Figure(
        part.file(f"calibration{sheet}"),
        "Share of nucleus among the test pixels that were given a probability, in ten bins, runs pooled; on the"
        " diagonal, a probability is what it says; below it, the model is too sure of nuclei. The lower chart"
        " shows how many pixels each bin has: most are near 0 or 1.",
        "Reliability curves; expected calibration error of the pooled runs: "
        + ", ".join(f"{name} {error:.3f}" for name, error in errors.items() if error is not None)
        + ".",
        chart(
            lambda figure: _draw(figure, configurations),
            height_in=4.9 + 0.22 * len(configurations),
            width_in=5.2,
        ),
        Numbers(
            (
                "configuration",
                "run",
                "file",
                "seed",
                "split",
                "bin_from",
                "bin_to",
                "mean_predicted",
                "share_of_nucleus",
                "share_of_pixels",
            ),
            tuple(numbers),
        ),
    )


def _draw(figure: Chart, configurations: Sequence[Configuration]) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=FAINT, lw=1, label="perfect calibration")
    for configuration, look in zip(configurations, LOOKS, strict=False):
        bins = reliability(_pooled(configuration))
        there = bins.share > 0
        style = dict(color=look.color, marker=look.marker, linestyle=look.dash)
        label = wrapped(configuration.name, width_in=4.3, size_pt=9)
        upper.plot(bins.predicted[there], bins.observed[there], label=label, **style)
        lower.plot(bins.predicted[there], bins.share[there], **{**style, "markersize": 4})
    upper.set_ylabel("share of nucleus")
    upper.set_ylim(-0.02, 1.02)
    lower.set_yscale("log")
    lower.set_ylim(10 ** np.floor(np.log10(_smallest_share(configurations))), 1.0)
    lower.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    lower.yaxis.set_minor_formatter(NullFormatter())
    lower.set_ylabel("share of pixels")
    lower.set_xlabel("predicted probability of nucleus")
    lower.set_xlim(-0.02, 1.02)
    figure.legend(loc="outside lower left", ncols=1, handlelength=3)


def _smallest_share(configurations: Sequence[Configuration]) -> float:
    shares = np.concatenate([reliability(_pooled(configuration)).share for configuration in configurations])
    return float(min(shares[shares > 0], default=0.1)) * 0.999


def _table(part: Part, configurations: Sequence[Configuration]) -> Table:
    shown, numbers = [], []
    for configuration in configurations:
        cells = []
        for split in ("train", "validation", "test"):
            errors = [
                expected_calibration_error(run.calibration[split]) if split in run.calibration else None
                for run in configuration.finished
            ]
            there = [error for error in errors if error is not None]
            cells.append(over_runs(there) if there else NOT_MEASURED)
            numbers += [
                (configuration.name, str(run.path), f"calibration_{split}.csv", run.seed, split, error)
                for run, error in zip(configuration.finished, errors, strict=True)
            ]
        shown.append((configuration.name, *cells))
    return Table(
        part.file("calibration_error"),
        "Expected calibration error, ten bins of equal width, over all pixels of a split; mean over runs ± sample"
        " standard deviation. 0 is perfect; background that is told with certainty makes it small.",
        ("configuration", "training", "validation", "test"),
        tuple(shown),
        Numbers(
            ("configuration", "run", "file", "seed", "split", "expected_calibration_error"), tuple(numbers)
        ),
    )
