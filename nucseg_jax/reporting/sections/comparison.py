"""Scores of configurations with intervals, differences to one of them, and main effects, on the same resamples."""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nucseg_jax.config import config_fields
from nucseg_jax.evaluation.bootstrap import (
    CONFIDENCE,
    MEASURES,
    Intervals,
    bootstrap_intervals,
    comparison,
    mean_scores,
    of_annotated_patches,
)
from nucseg_jax.reporting.reading.configuration import Configuration, phrase
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.sections.cells import limits

SPLIT = "test"
MAIN = MEASURES.index(("micro", "dice"))
_MOST_FIELDS = 12
LEVEL = f"{100 * CONFIDENCE:g} %"


class Factor(NamedTuple):
    """A field of a grid, with those that differ together with it, and by value the positions that have it."""

    fields: tuple[str, ...]
    levels: Mapping[str, tuple[int, ...]]


class Effect(NamedTuple):
    """Main effect of a field: [levels] mean micro Dice, and its differences to the value at `best`."""

    factor: Factor
    best: int
    scores: Intervals
    differences: Intervals


class Compared(NamedTuple):
    """Intervals of a cohort.

    Attributes:
      configurations: those that have counts, in order.
      runs: of each, the runs that have counts.
      reference: position of the configuration that the others are compared with.
      is_named: whether it was asked for; else it has the highest Dice.
      scores: [configurations, measures].
      differences: [configurations, measures], to the reference.
      effects: one for each field of the grid; empty where the configurations form none.
    """

    configurations: tuple[Configuration, ...]
    runs: tuple[tuple[Run, ...], ...]
    reference: int
    is_named: bool
    scores: Intervals
    differences: Intervals
    effects: tuple[Effect, ...]

    def score(self, position: int, measure: int) -> tuple[float, float, float]:
        """Returns a configuration's score in a measure, and its limits."""
        return limits(self.scores, position, measure)

    def difference(self, position: int, measure: int) -> tuple[float, float, float]:
        """Returns the difference of its score to the reference's, and its limits."""
        return limits(self.differences, position, measure)


def compare(configurations: Sequence[Configuration], baseline: str | None = None) -> Compared | None:
    """Bootstraps all configurations that have counts of the test split; None without any.

    Args:
      configurations: of one cohort.
      baseline: label of the configuration that the others are compared with; None, or one that is not among them =
        that with the highest Dice.
    """
    counted = with_counts(configurations)
    if not counted:
        return None
    number = len(counted)
    stacked = [np.stack([run.counts[SPLIT].counts[:, 0] for run in runs]) for runs in counted.values()]
    cells = of_annotated_patches([counts.astype(np.int64) for counts in stacked])
    patches = cells[0].shape[1]
    dice = [mean_scores(counts, np.ones((1, patches)))[MAIN, 0] for counts in cells]
    labels = [each.label for each in counted]
    is_named = baseline in labels
    reference = labels.index(baseline or "") if is_named else int(np.argmax(np.nan_to_num(dice, nan=-1.0)))
    factors = grid([each.fields for each in counted])
    means = [[np.mean([dice[at] for at in level]) for level in factor.levels.values()] for factor in factors]
    best = [
        next(place for place, level in enumerate(factor.levels.values()) if reference in level)
        if is_named
        else int(np.argmax(np.nan_to_num(of_factor, nan=-1.0)))
        for factor, of_factor in zip(factors, means, strict=True)
    ]
    scores_and_differences = comparison(cells, [(each, reference) for each in range(number)])

    def statistic(weights: np.ndarray) -> np.ndarray:
        rows = scores_and_differences(weights)
        dice = rows[: number * len(MEASURES)].reshape(number, len(MEASURES), -1)[:, MAIN]
        effects = []
        for factor, place in zip(factors, best, strict=True):
            of_levels = np.stack([dice[list(level)].mean(axis=0) for level in factor.levels.values()])
            effects += [of_levels, of_levels - of_levels[place]]
        return np.concatenate([rows, *effects])

    found = bootstrap_intervals(statistic, patches=patches)
    size = number * len(MEASURES)

    def taken(start: int, count: int) -> Intervals:
        return Intervals(*(values[start : start + count] for values in found))

    effects, start = [], 2 * size
    for factor, place in zip(factors, best, strict=True):
        count = len(factor.levels)
        effects.append(Effect(factor, place, taken(start, count), taken(start + count, count)))
        start += 2 * count
    scores, differences = (
        Intervals(*(values.reshape(number, len(MEASURES)) for values in taken(start, size)))
        for start in (0, size)
    )
    runs = tuple(counted.values())
    return Compared(tuple(counted), runs, reference, is_named, scores, differences, tuple(effects))


def with_counts(configurations: Sequence[Configuration]) -> dict[Configuration, tuple[Run, ...]]:
    """Returns the finished runs that have counts of the test split, by configuration."""
    found = {each: tuple(run for run in each.finished if SPLIT in run.counts) for each in configurations}
    return {each: runs for each, runs in found.items() if runs}


def grid(all_fields: Sequence[Mapping[str, Any]]) -> tuple[Factor, ...]:
    """Returns the fields whose every combination of values is there once; () where no two or more fields are so.

    Fields that differ together are one. Fields that follow from the combination, as dropout may from the model, are
    none of the grid.

    >>> rows = [{"a": a, "b": b, "l2": len(a) * b} for a in ("x", "xx") for b in (1, 2)]
    >>> [(factor.fields, dict(factor.levels)) for factor in grid(rows)]
    [(('a',), {'x': (0, 1), 'xx': (2, 3)}), (('b',), {'b 1': (0, 2), 'b 2': (1, 3)})]
    """
    number = len(all_fields)
    by_partition: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    for name in dict.fromkeys(name for fields in all_fields for name in fields):
        levels: dict[str, list[int]] = {}
        for at, fields in enumerate(all_fields):
            levels.setdefault(json.dumps(fields.get(name)), []).append(at)
        if len(levels) > 1:
            by_partition.setdefault(tuple(map(tuple, levels.values())), []).append(name)
    # Every value of a field of a grid is in as many rows. More fields than this would take long to combine.
    fair = [each for each in by_partition if len({len(level) for level in each}) == 1][:_MOST_FIELDS]
    for size in range(min(len(fair), number.bit_length() - 1), 1, -1):
        for chosen in itertools.combinations(fair, size):
            if np.prod([len(partition) for partition in chosen]) == number and _is_full(chosen, number):
                return tuple(_factor(by_partition[partition], partition, all_fields) for partition in chosen)
    return ()


def _is_full(chosen: Sequence[Sequence[Sequence[int]]], number: int) -> bool:
    places = [{at: place for place, level in enumerate(each) for at in level} for each in chosen]
    return len({tuple(place[at] for place in places) for at in range(number)}) == number


def _factor(
    names: Sequence[str], partition: Sequence[Sequence[int]], all_fields: Sequence[Mapping[str, Any]]
) -> Factor:
    values = [all_fields[level[0]].get(names[0]) for level in partition]
    # Names such as 'unet' tell enough by themselves, but for 'none' of a field with words for it.
    declared = config_fields().get(names[0])
    is_phrased = declared is not None and declared.phrase is not None
    words = [
        value if isinstance(value, str) and value and not is_phrased else phrase(names[0], value)
        for value in values
    ]
    if len(set(words)) < len(words):
        words = list(map(json.dumps, values))
    return Factor(tuple(names), {word: tuple(level) for word, level in zip(words, partition, strict=True)})
