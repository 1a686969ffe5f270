"""Scores of every class, of the runs that tell classes apart."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nucseg_jax.evaluation.bootstrap import bootstrap_intervals, of_annotated_patches, pooled_dice
from nucseg_jax.evaluation.scores import ratios
from nucseg_jax.ops.probability import FOREGROUND_RULE
from nucseg_jax.reporting.page.chart import Forest, Point, Series
from nucseg_jax.reporting.page.document import Block, Cell, Csv, Figure, Interval, Table, Value, Warn
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import at
from nucseg_jax.reporting.sections.cells import chunks, defined, listed, metric_name, over_runs, short
from nucseg_jax.reporting.sections.comparison import LEVEL, counted_runs
from nucseg_jax.reporting.sections.part import Part

SPLIT = "test"
_CLASSES = ("model", "num_classes")
METRICS = ("dice", "iou", "sensitivity", "precision")


class ClassScores(NamedTuple):
    """One class in one configuration.

    Attributes:
      name: as the columns of the counts are called.
      label: as people write it.
      patches: how many have the class in truth.
      values: {metric: one value a run}, from the counts pooled over the split; None for 0/0.
      low, high: of the interval of the mean Dice over patches; NaN where it has none.
    """

    name: str
    label: str
    patches: int
    values: Mapping[str, Sequence[float | None]]
    low: float
    high: float


def classes_blocks(part: Part) -> list[Block]:
    """Returns a chart and a table of the test split; nothing without several classes."""
    several = [
        each for each in part.configurations if at(each.finished[0].config, *_CLASSES) not in (None, 1)
    ]
    scores = scores_by_class(several, SPLIT)
    if not scores:
        return []
    blocks: list[Block] = []
    runs = [run for configuration in scores for run in configuration.finished]
    older = [str(run.path) for run in runs if at(run.results, SPLIT, "foreground_rule") is None]
    if older:
        blocks.append(
            Warn(
                f"{listed(older)}: scored by an earlier version, which took a pixel for nucleus where background was"
                f" not the largest of all logits. The rule is now: {FOREGROUND_RULE}."
                + (" The runs below are of both rules." if len(older) < len(runs) else "")
            )
        )
    for number, some in enumerate(chunks(list(scores), 3), 1):
        blocks.append(_figure(part.file(f"classes_{number}"), {each: scores[each] for each in some}))
    return [*blocks, _table(part.file("classes"), scores)]


def scores_by_class(
    configurations: Sequence[Configuration], split: str
) -> dict[Configuration, list[ClassScores]]:
    """Returns the classes of every configuration that has counts of a split; all intervals on the same resamples."""
    counted = {each: runs for each in configurations if (runs := counted_runs(each, split))}
    if not counted:
        return {}
    # [runs, patches, classes, 4] each.
    cells = of_annotated_patches(
        [np.stack([run.counts[split].counts for run in runs]).astype(np.int64) for runs in counted.values()]
    )
    found = bootstrap_intervals(
        lambda weights: np.concatenate([pooled_dice(counts, weights) for counts in cells]),
        patches=cells[0].shape[1],
    )
    limits = iter(zip(found.low.tolist(), found.high.tolist(), strict=True))
    scores = {}
    for configuration, counts in zip(counted, cells, strict=True):
        info = configuration.finished[0].info
        pooled = ratios(counts.sum(axis=1))
        truth = counts[0, :, :, 0] + counts[0, :, :, 2]
        names = zip(info.counted_names(counts.shape[2]), ("Nucleus", *info.class_names), strict=False)
        scores[configuration] = [
            ClassScores(
                name,
                label,
                int((truth[:, number] > 0).sum()),
                {metric: list(map(defined, pooled[metric][:, number].tolist())) for metric in METRICS},
                *next(limits),
            )
            for number, (name, label) in enumerate(names)
        ]
    return scores


def _table(name: str, scores: Mapping[Configuration, Sequence[ClassScores]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    exact: list[tuple[Value, ...]] = []
    for configuration, classes in scores.items():
        for number, each in enumerate(classes):
            dice, *others = (over_runs(each.values[metric]) for metric in METRICS)
            first = "" if number else configuration.label
            rows.append((first, each.label, each.patches, dice, Interval(each.low, each.high), *others))
            about = (configuration.name, configuration.label, SPLIT, each.name, each.patches, "micro")
            exact.append((*about, "dice", *dice, each.low, each.high))
            exact += [
                (*about, metric, *spread, None, None)
                for metric, spread in zip(METRICS[1:], others, strict=True)
            ]
    columns = ("configuration", "label", "split", "class", "patches_with_class", "convention", "metric")
    return Table(
        name,
        "Test scores of each class against all the rest, from its counts pooled over the patches (`micro`): mean over"
        f" runs ± sample standard deviation, and the {LEVEL} bootstrap interval of the mean Dice; patches: those that"
        " have the class. A class so rare that resamples can miss it has no interval.",
        (
            *("configuration", "class", "patches", metric_name("dice"), f"{LEVEL} interval"),
            *map(metric_name, METRICS[1:]),
        ),
        tuple(rows),
        Csv((*columns, "value", "standard_deviation_over_runs", "low", "high"), tuple(exact)),
    )


def _figure(name: str, scores: Mapping[Configuration, Sequence[ClassScores]]) -> Figure:
    longest = max(scores.values(), key=len)
    series, words = [], []
    for look, (configuration, classes) in enumerate(scores.items()):
        points = [
            (place, over_runs(each.values["dice"]).value, defined(each.low), defined(each.high))
            for place, each in enumerate(classes)
        ]
        series.append(Series(configuration.label, tuple(Point(*point) for point in points), look, "points"))
        dice = ", ".join(
            f"{each.name} {short(point[1])}" for each, point in zip(classes, points, strict=True)
        )
        words.append(f"{configuration.label}: {dice}")
    return Figure(
        name,
        f"Test micro Dice of each class, mean over runs, with its {LEVEL} interval over patches; behind a name, how"
        " many patches have the class.",
        f"Micro Dice by class. {'; '.join(words)}.",
        Forest(
            "micro Dice in test", tuple(f"{each.label} ({each.patches})" for each in longest), tuple(series)
        ),
    )
