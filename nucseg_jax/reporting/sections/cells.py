"""How numbers stand in a table: four decimals, mean ± standard deviation, intervals, and a dash for 0/0."""

import math
import statistics
from collections.abc import Sequence

from nucseg_jax.evaluation.scores import METRICS
from nucseg_jax.reporting.page.document import UNDEFINED

_LOSS_TITLES = {"dice_loss": "Dice loss", "l2_penalty": "L2 penalty"}
# Of the numbers behind a table: a run's value; or the mean over runs, its spread and the limits of its interval.
SUMMARY_COLUMNS = ("convention", "metric", "value", "standard_deviation_over_runs", "low", "high")
SPLIT_WORDS = {"train": "training", "validation": "validation", "test": "test"}


def metric_name(metric: str) -> str:
    """Returns a metric or a loss in words.

    >>> metric_name("iou_two_class_mean"), metric_name("panoptic_quality")
    ('IoU, mean of two classes', 'panoptic quality')
    """
    if metric in METRICS:
        return METRICS[metric].title
    return _LOSS_TITLES.get(metric, metric.replace("_", " "))


def decimal(value: float | None, digits: int = 4) -> str:
    """'0.8286'; a dash where there is no value."""
    return UNDEFINED if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def defined(value: float) -> float | None:
    """The value; None in place of NaN, which no CSV file holds."""
    return value if math.isfinite(value) else None


def signed(value: float | None) -> str:
    """'+0.0124'; a dash where there is no value."""
    return UNDEFINED if value is None or not math.isfinite(value) else f"{value:+.4f}"


def with_deviation(value: float | None, deviation: float | None) -> str:
    """'0.8286 ± 0.0110', without the second part where there is no deviation."""
    return decimal(value) if value is None or deviation is None else f"{value:.4f} ± {deviation:.4f}"


def interval(low: float, high: float, *, with_sign: bool = False) -> str:
    """'[0.8132, 0.8411]'."""
    shown = signed if with_sign else decimal
    return UNDEFINED if math.isnan(low) or math.isnan(high) else f"[{shown(low)}, {shown(high)}]"


def over_runs(values: Sequence[float | None]) -> str:
    """Mean ± sample standard deviation of the values there are; one value stands alone."""
    return with_deviation(mean(values), sample_deviation(values))


def mean(values: Sequence[float | None]) -> float | None:
    """Of the values there are; None without any."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def sample_deviation(values: Sequence[float | None]) -> float | None:
    """With n - 1, of the values there are; None below two."""
    there = [value for value in values if value is not None]
    return statistics.stdev(there) if len(there) > 1 else None


def population_deviation(values: Sequence[float | None]) -> float | None:
    """With n, of the values there are; None without any."""
    there = [value for value in values if value is not None]
    return statistics.pstdev(there) if there else None


def listed(words: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
