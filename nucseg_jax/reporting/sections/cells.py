"""Means over runs, words for metrics, splits and lists, and tables with a row for each configuration."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from nucseg_jax.evaluation.bootstrap import Intervals
from nucseg_jax.evaluation.scores import METRICS
from nucseg_jax.reporting.page.document import Block, Cell, Gap, Spread, Table
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run

T = TypeVar("T")
_LOSS_TITLES = {"dice_loss": "Dice loss", "l2_penalty": "L2 penalty"}
SPLIT_WORDS = {"train": "training", "validation": "validation", "test": "test"}
OVER_RUNS = "mean over runs ± sample standard deviation"


def by_configuration(
    name: str,
    caption: str,
    configurations: Sequence[Configuration],
    columns: Mapping[str, Callable[[Configuration], Cell]],
    source: str = "",
) -> Table:
    """Returns a table with a row for each configuration; each column computes its cells."""
    rows = tuple((each.label, *(cell(each) for cell in columns.values())) for each in configurations)
    return Table(name, caption, ("configuration", *columns), rows, source=source)


def gap_of(
    runs: Sequence[Run], text: str, command: Callable[[Run], tuple[str, ...]] = lambda _: ()
) -> list[Block]:
    """Returns the gap that runs leave, their paths in place of `{}`, with the command for the first; or nothing."""
    return [Gap(text.format(listed([str(run.path) for run in runs])), command(runs[0]))] if runs else []


def metric_name(metric: str) -> str:
    """Returns a metric or a loss in words.

    >>> metric_name("iou_two_class_mean"), metric_name("panoptic_quality")
    ('IoU, mean of two classes', 'panoptic quality')
    """
    if metric in METRICS:
        return METRICS[metric].title
    return _LOSS_TITLES.get(metric, metric.replace("_", " "))


def defined(value: float) -> float | None:
    """Returns the value; None in place of NaN."""
    return value if math.isfinite(value) else None


def limits(intervals: Intervals, *position: int) -> tuple[float, float, float]:
    """Returns estimate, low and high at a position."""
    estimate, low, high = (float(values[position]) for values in intervals)
    return estimate, low, high


def over_runs(values: Sequence[float | None]) -> Spread:
    """Returns the mean and the sample standard deviation of the values that are defined; one has no deviation."""
    there = [value for value in values if value is not None]
    return Spread(mean(there), statistics.stdev(there) if len(there) > 1 else None)


def mean(values: Sequence[float | None]) -> float | None:
    """Returns the mean of the values that are defined; None without any."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def short(value: float | None, digits: int = 3) -> str:
    """Returns a number with few decimals, for sentences; '–' where there is no value."""
    # Without a minus before a zero.
    return "–" if value is None or not math.isfinite(value) else f"{round(value, digits) + 0.0:.{digits}f}"


def listed(words: Sequence[str]) -> str:
    """Joins words to 'a', 'a and b' or 'a, b and c'."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yields `size` items after one another, or what is left.

    >>> list(chunks("abcde", 2))
    ['ab', 'cd', 'e']
    """
    for start in range(0, len(items), size):
        yield items[start : start + size]
