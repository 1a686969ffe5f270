"""Calibration of predicted probabilities: reliability curves and the expected calibration error."""

import numpy as np

from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.calibration import BINS, expected_calibration_error, reliability
from nucseg_jax.reporting.page.chart import MOST_LINES, Chart, Panel, Series
from nucseg_jax.reporting.page.document import Block, Figure, Spread
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.sections.cells import (
    OVER_RUNS,
    SPLIT_WORDS,
    by_configuration,
    chunks,
    gap_of,
    over_runs,
    short,
)
from nucseg_jax.reporting.sections.comparison import SPLIT
from nucseg_jax.reporting.sections.part import Part


def calibration_blocks(part: Part) -> list[Block]:
    """Returns a chart of the test split, and the errors of all splits."""
    runs = [run for configuration in part.configurations for run in configuration.finished]
    without = [run for run in runs if SPLIT not in run.calibration]
    missing = f"No calibration_{SPLIT}.csv in {{}}: runs of this version write it at their end."
    blocks = gap_of(without, missing, next_command.train_again)
    shown = [each for each in part.configurations if any(SPLIT in run.calibration for run in each.finished)]
    if not shown:
        return blocks

    def error(configuration: Configuration, split: str) -> Spread:
        levels = [run.calibration[split] for run in configuration.finished if split in run.calibration]
        return over_runs(list(map(expected_calibration_error, levels)))

    table = by_configuration(
        part.file("calibration_error"),
        f"Expected calibration error, {BINS} bins of equal width, over all pixels of a split; {OVER_RUNS}. 0 is"
        " perfect; background that is predicted with certainty makes it small.",
        shown,
        {SPLIT_WORDS[split]: lambda each, split=split: error(each, split) for split in SPLIT_NAMES},  # type: ignore[misc]
    )
    return [*blocks, _figure(part, shown), table]


def _figure(part: Part, configurations: list[Configuration]) -> Figure:
    series, errors = [], []
    for number, each in enumerate(configurations):
        pooled = np.sum([run.calibration[SPLIT] for run in each.finished if SPLIT in run.calibration], axis=0)
        bins = zip(*reliability(pooled), strict=True)
        points = tuple((float(x), float(y)) for x, y, share in bins if share > 0)
        series.append(Series(each.label, points, number % MOST_LINES, "marked"))
        errors.append(f"{each.label} {short(expected_calibration_error(pooled))}")
    return Figure(
        part.file("calibration"),
        f"Share of nucleus among the test pixels that were given a probability, in {BINS} bins, runs pooled. On the"
        " dashed diagonal a probability is true; below it the model is too sure of nuclei.",
        f"Reliability curves; expected calibration error of the pooled runs: {', '.join(errors)}.",
        Chart(
            "predicted probability of nucleus",
            "share of nucleus",
            tuple(Panel("", tuple(some)) for some in chunks(series, MOST_LINES)),
            has_diagonal=True,
        ),
    )
