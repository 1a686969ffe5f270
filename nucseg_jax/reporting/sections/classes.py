"""Scores of every class, of the runs that tell classes apart."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure as Chart

from nucseg_jax.evaluation.bootstrap import bootstrap_intervals, of_annotated_patches, pooled_dice
from nucseg_jax.evaluation.scores import ratios
from nucseg_jax.ops.probability import FOREGROUND_RULE
from nucseg_jax.reporting.page.document import Block, Figure, Gap, Heading, Numbers, Table, Value
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import at
from nucseg_jax.reporting.sections.cells import (
    SUMMARY_COLUMNS,
    decimal,
    defined,
    interval,
    listed,
    mean,
    metric_name,
    over_runs,
    sample_deviation,
)
from nucseg_jax.reporting.sections.comparison import LEVEL, counted_runs
from nucseg_jax.reporting.sections.drawing import (
    FAINT,
    INK,
    LABEL_IN,
    LOOKS,
    MOST_LINES,
    chart,
    chunks,
    fitted,
    wrapped,
)
from nucseg_jax.reporting.sections.part import Part

SPLIT = "test"
METRICS = ("dice", "iou", "sensitivity", "precision")
# In heights of a bar: the space between classes; and that height.
_SPACE, _BAR_IN = 0.9, 0.2


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
    """A chart and a table of the test split, whose numbers hold validation too; nothing without several classes."""
    several = [
        each for each in part.cohort.scored if each.finished[0].config["model"].get("num_classes", 1) != 1
    ]
    if not several:
        return []
    blocks: list[Block] = [Heading("Scores by class", 3)]
    tested = scores_by_class(several, SPLIT)
    without = [each.name for each in several if each not in tested]
    if without:
        blocks.append(Gap(f"No per_image_{SPLIT}.csv of {listed(without)}."))
    if not tested:
        return blocks
    runs = [run for configuration in tested for run in configuration.finished]
    older = [run for run in runs if at(run.results, SPLIT, "foreground_rule") is None]
    if older:
        blocks.append(
            Gap(
                f"{listed([str(run.path) for run in older])}: scored by an earlier version, which took a pixel for"
                f" nucleus where background was not the largest of all logits. The rule is now: {FOREGROUND_RULE}."
                + (" The runs below are of both rules." if len(older) < len(runs) else ""),
                next_command.train_again(older[0]),
            )
        )
    validated = scores_by_class(several, "validation")
    numbers = _numbers({SPLIT: tested, "validation": validated})
    for start, some in chunks(list(tested), MOST_LINES):
        sheet = "" if start == 0 else f"_sheet_{start // MOST_LINES + 1}"
        shown = {configuration: tested[configuration] for configuration in some}
        blocks.append(_figure(part.file(f"classes{sheet}"), shown, numbers))
    return [*blocks, _table(part.file("classes"), tested, numbers)]


def scores_by_class(
    configurations: Sequence[Configuration], split: str
) -> dict[Configuration, list[ClassScores]]:
    """The classes of every configuration that has counts of a split; all intervals are of the same resamples."""
    counted = {each: counted_runs(each, split) for each in configurations}
    counted = {configuration: runs for configuration, runs in counted.items() if runs}
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
        pooled = ratios(counts.sum(axis=1))
        truth = counts[0, :, :, 0] + counts[0, :, :, 2]
        scores[configuration] = [
            ClassScores(
                name,
                label,
                int((truth[:, number] > 0).sum()),
                {
                    metric: [defined(value) for value in pooled[metric][:, number].tolist()]
                    for metric in METRICS
                },
                *next(limits),
            )
            for number, (name, label) in enumerate(_names(configuration, counts.shape[2]))
        ]
    return scores


def _names(configuration: Configuration, classes: int) -> list[tuple[str, str]]:
    """Names of the counted classes in columns, and as people write them."""
    info = configuration.finished[0].info
    return list(zip(info.counted_names(classes), ("Nucleus", *info.class_names), strict=False))


def _numbers(by_split: Mapping[str, Mapping[Configuration, Sequence[ClassScores]]]) -> Numbers:
    """Every run's value, and the mean over runs with its spread and, for Dice, its interval."""
    rows: list[tuple[Value, ...]] = []
    for split, scores in by_split.items():
        file = f"per_image_{split}.csv"
        for configuration, classes in scores.items():
            runs = counted_runs(configuration, split)
            for each in classes:
                for metric, values in each.values.items():
                    about = (split, each.name, each.patches, "micro", metric)
                    rows += [
                        (configuration.name, str(run.path), file, run.seed, *about, value, None, None, None)
                        for run, value in zip(runs, values, strict=True)
                    ]
                    limits = (defined(each.low), defined(each.high)) if metric == "dice" else (None, None)
                    summary = (mean(values), sample_deviation(values), *limits)
                    rows.append((configuration.name, "", f"{file} of these runs", "", *about, *summary))
    return Numbers(
        (
            "configuration",
            "run",
            "file",
            "seed",
            "split",
            "class",
            "patches_with_class",
            *SUMMARY_COLUMNS,
        ),
        tuple(rows),
    )


def _table(name: str, scores: Mapping[Configuration, Sequence[ClassScores]], numbers: Numbers) -> Table:
    rows = tuple(
        (
            configuration.name if number == 0 else "",
            each.label,
            str(each.patches),
            over_runs(each.values["dice"]),
            interval(each.low, each.high),
            *(over_runs(each.values[metric]) for metric in METRICS[1:]),
        )
        for configuration, classes in scores.items()
        for number, each in enumerate(classes)
    )
    return Table(
        name,
        "Test scores of each class against all the rest, from its counts pooled over the patches (`micro`): mean over"
        f" runs ± sample standard deviation over them, and the {LEVEL} bootstrap interval of the mean Dice over"
        " patches; patches: those with a pixel of the class in truth. A class so rare that resamples can miss it has"
        " no interval. The CSV file has validation too.",
        (
            "configuration",
            "class",
            "patches",
            metric_name("dice"),
            f"{LEVEL} interval",
            *(metric_name(metric) for metric in METRICS[1:]),
        ),
        rows,
        numbers,
    )


def _figure(name: str, scores: Mapping[Configuration, Sequence[ClassScores]], numbers: Numbers) -> Figure:
    words = [
        f"{configuration.name}: "
        + ", ".join(f"{each.name} {decimal(mean(each.values['dice']), 3)}" for each in classes)
        for configuration, classes in scores.items()
    ]
    classes = max(map(len, scores.values()))
    return Figure(
        name,
        "Test micro Dice of each class, mean over runs; the whisker is its"
        f" {LEVEL} bootstrap interval over patches. Behind the name, how many patches have the class. Few patches"
        " say little.",
        f"Bars of micro Dice by class. {'; '.join(words)}.",
        chart(
            lambda figure: _draw(figure, scores),
            height_in=0.8 + (len(scores) + _SPACE) * classes * _BAR_IN + 0.26 * len(scores),
        ),
        numbers,
    )


def _draw(figure: Chart, scores: Mapping[Configuration, Sequence[ClassScores]]) -> None:
    axes = figure.subplots()
    classes = max(scores.values(), key=len)
    middles = [number * (len(scores) + _SPACE) for number in range(len(classes))]
    for place, ((configuration, of_configuration), look) in enumerate(
        zip(scores.items(), LOOKS, strict=False)
    ):
        label = wrapped(configuration.name, width_in=5.6, size_pt=9)
        for each, middle in zip(of_configuration, middles, strict=False):
            y = middle + place - (len(scores) - 1) / 2
            dice = mean(each.values["dice"])
            if dice is None:
                axes.text(0.01, y, "undefined", va="center_baseline", color=FAINT, style="italic", fontsize=9)
                continue
            # The edge's colour is the hatch's; without a width it takes nothing from the bar's length.
            bar = axes.barh(y, dice, height=0.82, color=look.color, hatch=look.hatch, label=label)
            bar[0].set(edgecolor="white", linewidth=0)
            label = "_"  # Once in the legend.
            if np.isfinite([each.low, each.high]).all():
                axes.plot([each.low, each.high], [y, y], color=INK, lw=1.2, marker="|", markersize=6)
            axes.text(1.015, y, f"{dice:.3f}", va="center_baseline", fontsize=9)
    axes.set_yticks(
        middles, [f"{fitted(each.label, width_in=LABEL_IN)} ({each.patches})" for each in classes]
    )
    axes.set_ylim(middles[-1] + len(scores) / 2 + 0.2, -len(scores) / 2 - 0.2)
    axes.set_xlim(0, 1)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("micro Dice in test")
    figure.legend(loc="outside lower left", ncols=1)
