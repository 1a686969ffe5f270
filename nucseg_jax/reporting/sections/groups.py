"""Scores by group of the data set: by tissue, patient or slide."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure as Chart

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.scores import class_scores
from nucseg_jax.reporting.page.document import Block, Figure, Gap, Heading, Numbers, Table, Value
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.sections.cells import decimal, listed, mean
from nucseg_jax.reporting.sections.drawing import LABEL_IN, LOOKS, MOST_LINES, chart, chunks, fitted, wrapped
from nucseg_jax.reporting.sections.part import Part

SPLIT = "test"
# A chart with a line for each of more groups is no picture any more; the table has them all.
MOST_DRAWN = 60


def groups_blocks(part: Part) -> list[Block]:
    """A table and a chart of the test split; nothing for a data set with one group."""
    info = part.cohort.info
    if len(info.groups) < 2:
        return []
    noun = info.group_noun
    blocks: list[Block] = [Heading(f"Scores by {noun}", 3)]
    shown = [
        configuration
        for configuration in part.cohort.scored
        if any(SPLIT in run.counts for run in configuration.finished)
    ]
    if not shown:
        return [*blocks, Gap(f"No run here has a per_image_{SPLIT}.csv.")]
    numbers: list[tuple[Value, ...]] = []
    values: dict[str, dict[str, list[float | None]]] = {}
    patches: dict[str, int] = {}
    for configuration in shown:
        for run in configuration.finished:
            if SPLIT not in run.counts:
                continue
            for group, (number, dice) in group_dice(run.counts[SPLIT], info).items():
                patches[group] = number
                values.setdefault(group, {}).setdefault(configuration.name, []).append(dice)
                key = (configuration.name, str(run.path), f"per_image_{SPLIT}.csv", run.seed)
                numbers.append((*key, SPLIT, group, number, "image_skip", "dice", dice))
    table = Numbers(
        (
            "configuration",
            "run",
            "file",
            "seed",
            "split",
            noun,
            "patches_with_nuclei",
            "convention",
            "metric",
            "value",
        ),
        tuple(numbers),
    )
    groups = [group for group in info.groups if group in values]
    for start, some in chunks(shown, MOST_LINES) if len(groups) <= MOST_DRAWN else ():
        sheet = "" if start == 0 else f"_sheet_{start // MOST_LINES + 1}"
        names = [configuration.name for configuration in some]
        means = {group: [mean(values[group].get(name, [])) for name in names] for group in groups}
        labels = [f"{fitted(words(group, info), width_in=LABEL_IN)} ({patches[group]})" for group in groups]
        blocks.append(
            Figure(
                part.file(f"{noun}s{sheet}"),
                f"Mean Dice of the test patches of each {noun} that have nuclei (`image_skip`), mean over runs;"
                " behind the name, how many such patches there are. Few patches say little.",
                f"Dice by {noun}: "
                + "; ".join(
                    f"{words(group, info)} {listed([decimal(value, 3) for value in means[group]])}"
                    for group in groups
                )
                + ".",
                chart(
                    lambda figure, means=means, labels=labels, some=some: _draw(  # type: ignore[misc]
                        figure, list(means.values()), labels, some
                    ),
                    height_in=1.0 + (0.2 + 0.06 * len(some)) * len(groups) + 0.26 * len(some),
                ),
                table,
            )
        )
    rows = tuple(
        (
            words(group, info),
            str(patches[group]),
            *(decimal(mean(values[group].get(configuration.name, []))) for configuration in shown),
        )
        for group in groups
    )
    blocks.append(
        Table(
            part.file(f"{noun}s"),
            "The same numbers." if len(groups) <= MOST_DRAWN else f"Mean Dice by {noun} (`image_skip`).",
            (noun, "patches", *(configuration.name for configuration in shown)),
            rows,
            table,
        )
    )
    return blocks


def group_dice(counts: Counts, info: DatasetInfo) -> dict[str, tuple[int, float | None]]:
    """Returns by group the patches that have nuclei, and their mean Dice."""
    found = {}
    for number in np.unique(counts.group):
        of_group = counts.counts[counts.group == number, 0].astype(np.int64)
        has_truth = of_group[:, 0] + of_group[:, 2] > 0
        scores = class_scores(of_group, np.zeros(len(of_group), np.int32), group_noun=info.group_noun)
        found[info.groups[number]] = (int(has_truth.sum()), scores["image_skip"]["dice"])
    return found


def words(group: str, info: DatasetInfo) -> str:
    """A group's name for people: tissues as words, which PanNuke writes in several ways; others as they are."""
    if info.group_noun != "tissue":
        return group
    return {"HeadNeck": "Head and neck"}.get(group, group.replace("_", " ").replace("-", " ").capitalize())


def _draw(
    figure: Chart,
    means: Sequence[Sequence[float | None]],
    labels: Sequence[str],
    configurations: Sequence[Configuration],
) -> None:
    axes = figure.subplots()
    for number, (configuration, look) in enumerate(zip(configurations, LOOKS, strict=False)):
        points = [(of_group[number], y) for y, of_group in enumerate(means) if of_group[number] is not None]
        # Set off a little, so that equal scores do not hide each other.
        offset = min(0.12, 0.6 / len(configurations)) * (number - (len(configurations) - 1) / 2)
        axes.plot(
            [value for value, _ in points],
            [y + offset for _, y in points],
            look.marker,
            color=look.color,
            markeredgecolor="white",
            markeredgewidth=0.6,
            markersize=7,
            label=wrapped(configuration.name, width_in=5.6, size_pt=9),
        )
    axes.set_yticks(range(len(means)), labels)
    axes.set_ylim(len(means) - 0.5, -0.5)
    axes.set_xlabel("mean Dice of patches with nuclei")
    axes.margins(x=0.08)
    figure.legend(loc="outside lower left", ncols=1)
