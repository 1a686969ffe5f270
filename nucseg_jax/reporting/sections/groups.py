"""Scores by group of the data set: by tissue, patient or slide."""

import numpy as np

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.scores import class_scores
from nucseg_jax.reporting.page.chart import MOST_LINES, Forest, Point, Series
from nucseg_jax.reporting.page.document import Block, Csv, Figure, Table, Value
from nucseg_jax.reporting.sections.cells import chunks, listed, mean, short
from nucseg_jax.reporting.sections.comparison import counted_runs
from nucseg_jax.reporting.sections.part import Part

SPLIT = "test"
# A chart with a row for each of more groups is too tall to take in; the table has them all.
MOST_DRAWN = 60


def groups_blocks(part: Part) -> list[Block]:
    """Returns a chart and a table of the test split; nothing for a data set with one group."""
    info = part.cohort.info
    noun = info.group_noun
    counted = {each: runs for each in part.configurations if (runs := counted_runs(each, SPLIT))}
    if len(info.groups) < 2 or not counted:
        return []
    exact: list[tuple[Value, ...]] = []
    values: dict[str, list[list[float | None]]] = {}
    patches: dict[str, int] = {}
    for number, (configuration, runs) in enumerate(counted.items()):
        for run in runs:
            for group, (count, dice) in group_dice(run.counts[SPLIT], info).items():
                patches[group] = count
                values.setdefault(group, [[] for _ in counted])[number].append(dice)
                key = (
                    configuration.name,
                    configuration.label,
                    str(run.path),
                    f"per_image_{SPLIT}.csv",
                    run.seed,
                )
                exact.append((*key, SPLIT, group, count, "image_skip", "dice", dice))
    groups = [group for group in info.groups if group in values]
    means = [[mean(of_runs) for of_runs in values[group]] for group in groups]
    names = tuple(f"{words(group, info)} ({patches[group]})" for group in groups)
    labels = [configuration.label for configuration in counted]
    blocks: list[Block] = []
    for place, some in enumerate(chunks(range(len(labels)), MOST_LINES), 1):
        if len(groups) > MOST_DRAWN:
            break
        series = tuple(
            Series(
                labels[at],
                tuple(Point(row, of_group[at]) for row, of_group in enumerate(means)),
                look,
                "points",
            )
            for look, at in enumerate(some)
        )
        said = (
            f"{name} {listed([short(of_group[at]) for at in some])}"
            for name, of_group in zip(names, means, strict=True)
        )
        blocks.append(
            Figure(
                part.file(f"{noun}s_{place}"),
                f"Mean Dice of the test patches of each {noun} that have nuclei (`image_skip`), mean over runs;"
                " behind the name, how many such patches there are. Few patches tell little.",
                f"Dice by {noun}, of {listed([labels[at] for at in some])}: {'; '.join(said)}.",
                Forest("mean Dice of patches with nuclei", names, series),
            )
        )
    columns = ("configuration", "label", "run", "file", "seed", "split", noun, "patches_with_nuclei")
    rows = [
        (words(group, info), patches[group], *of_group) for group, of_group in zip(groups, means, strict=True)
    ]
    table = Table(
        part.file(f"{noun}s"),
        f"Mean Dice of the test patches by {noun} (`image_skip`).",
        (noun, "patches", *labels),
        tuple(rows),
        Csv((*columns, "convention", "metric", "value"), tuple(exact)),
    )
    return [*blocks, table]


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
    """Returns a group's name for people: tissues as words, which PanNuke writes in several ways; others as they are."""
    if info.group_noun != "tissue":
        return group
    return {"HeadNeck": "Head and neck"}.get(group, group.replace("_", " ").replace("-", " ").capitalize())
