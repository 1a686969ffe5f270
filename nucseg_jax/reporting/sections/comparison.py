"""What intervals are given for: the configurations of a cohort and their differences, and the baselines beside them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nucseg_jax.evaluation.bootstrap import (
    CONFIDENCE,
    MEASURES,
    Intervals,
    bootstrap_intervals,
    comparison,
    of_annotated_patches,
)
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.sections.part import Part

SPLIT = "test"
# With more configurations than this not all pairs are compared: they grow with the square.
MOST_FOR_ALL_PAIRS = 5
LEVEL = f"{100 * CONFIDENCE:g} %"
BASELINE_NAMES = {"otsu_hematoxylin": "Otsu on hematoxylin", "all_foreground": "all foreground"}

# By the baseline's key: a run, the file in it that has the baseline's scores of the test split, and the scores.
Baselines = Mapping[str, tuple[Run, str, Mapping[str, object]]]


class Compared(NamedTuple):
    """Intervals of a cohort.

    Attributes:
      configurations: those that have counts, in order.
      runs: of each, the runs that have counts.
      pairs: (minuend, subtrahend), positions in `configurations`.
      scores: [configurations, measures] each.
      differences: [pairs, measures] each.
    """

    configurations: tuple[Configuration, ...]
    runs: tuple[tuple[Run, ...], ...]
    pairs: tuple[tuple[int, int], ...]
    scores: Intervals
    differences: Intervals


def compare(configurations: Sequence[Configuration]) -> Compared | None:
    """Bootstraps all configurations that have counts of the test split; None without any."""
    counted = [(configuration, counted_runs(configuration, SPLIT)) for configuration in configurations]
    counted = [(configuration, runs) for configuration, runs in counted if runs]
    if not counted:
        return None
    number = len(counted)
    pairs = choose_pairs([configuration.model for configuration, _ in counted])
    cells = of_annotated_patches(
        [np.stack([run.counts[SPLIT].counts[:, 0] for run in runs]).astype(np.int64) for _, runs in counted]
    )
    found = bootstrap_intervals(comparison(cells, pairs), patches=cells[0].shape[1])
    rows = Intervals(*(values.reshape(-1, len(MEASURES)) for values in found))
    return Compared(
        tuple(configuration for configuration, _ in counted),
        tuple(runs for _, runs in counted),
        tuple(pairs),
        Intervals(*(values[:number] for values in rows)),
        Intervals(*(values[number:] for values in rows)),
    )


def counted_runs(configuration: Configuration, split: str) -> tuple[Run, ...]:
    """The finished runs that have counts of a split."""
    return tuple(run for run in configuration.finished if split in run.counts)


def choose_pairs(models: Sequence[str]) -> list[tuple[int, int]]:
    """(minuend, subtrahend) of the differences that are shown.

    All pairs of a few configurations. Of many, each against the first of its model, and the first of each model
    against the very first.

    >>> choose_pairs(["unet", "unet", "deeplab"])
    [(1, 0), (2, 0), (2, 1)]
    >>> choose_pairs(["unet", "unet", "deeplab", "deeplab", "deeplab", "other"])
    [(1, 0), (2, 0), (3, 2), (4, 2), (5, 0)]
    """
    if len(models) <= MOST_FOR_ALL_PAIRS:
        return [(later, earlier) for later in range(len(models)) for earlier in range(later)]
    firsts = [models.index(model) for model in models]
    return [(number, first if first != number else 0) for number, first in enumerate(firsts) if number]


def find_baselines(part: Part) -> Baselines:
    """What `evaluate --baselines` left in any run of the cohort; of each baseline the first."""
    found: dict[str, tuple[Run, str, Mapping[str, object]]] = {}
    for run in part.cohort.runs:
        for evaluation in run.evaluations:
            if evaluation.split == SPLIT:
                for name, entry in evaluation.baselines.items():
                    found.setdefault(name, (run, evaluation.file, entry))
    return found


def run_scores(runs: Sequence[Run], measure: tuple[str, str]) -> list[float | None]:
    """The measure of each run in the test split, from its results.json."""
    convention, metric = measure
    return [run.score(SPLIT, convention, metric) for run in runs]
