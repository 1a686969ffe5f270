"""Test scores by class, by group of the data set (tissue, patient or slide) and by nucleus density."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.bootstrap import bootstrap_intervals, of_annotated_patches, pooled_dice
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.scores import class_scores, ratios
from nucseg_jax.ops.probability import FOREGROUND_RULE
from nucseg_jax.reporting.page.document import Block, Cell, Interval, Table, Warn
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import OVER_RUNS, defined, listed, mean, metric_name, over_runs
from nucseg_jax.reporting.sections.comparison import LEVEL, SPLIT, with_counts
from nucseg_jax.reporting.sections.part import Part

CLASS_METRICS = ("dice", "iou", "sensitivity", "precision")
# Upper edges of the density classes; the first holds patches without a nucleus.
EDGES = (0.0, 0.05, 0.10, 0.15, 0.20, 0.30, 0.40, 1.0)
_DENSITIES = ("none", *(f"{100 * low:g}–{100 * high:g} %" for low, high in itertools.pairwise(EDGES)))


def classes_blocks(part: Part) -> list[Block]:
    """Returns a table of the runs that tell classes apart, all intervals on the same resamples; nothing without any."""
    several = [each for each in part.configurations if at(each.fields, "model.num_classes") not in (None, 1)]
    counted = with_counts(several)
    if not counted:
        return []
    # [runs, patches, classes, 4] each.
    cells = of_annotated_patches(
        [np.stack([run.counts[SPLIT].counts for run in runs]).astype(np.int64) for runs in counted.values()]
    )
    found = bootstrap_intervals(
        lambda weights: np.concatenate([pooled_dice(counts, weights) for counts in cells]),
        patches=cells[0].shape[1],
    )
    limits = zip(found.low.tolist(), found.high.tolist(), strict=True)
    rows: list[tuple[Cell, ...]] = []
    for configuration, counts in zip(counted, cells, strict=True):
        pooled = ratios(counts.sum(axis=1))
        patches = (counts[0, :, :, 0] + counts[0, :, :, 2] > 0).sum(axis=0)
        names = ("Nucleus", *configuration.finished[0].info.class_names)[: len(patches)]
        for number, name in enumerate(names):
            spreads = [
                over_runs(list(map(defined, pooled[each][:, number].tolist()))) for each in CLASS_METRICS
            ]
            about = (configuration.label, name, int(patches[number]), spreads[0])
            rows.append((*about, Interval(*next(limits)), *spreads[1:]))
    dice, *others = map(metric_name, CLASS_METRICS)
    table = Table(
        part.file("classes"),
        f"Scores of each class against all the rest, from its counts pooled over the patches (`micro`): {OVER_RUNS},"
        f" and the {LEVEL} bootstrap interval of the mean Dice. Patches: those that have the class. A class so rare"
        " that resamples can miss it has no interval.",
        ("configuration", "class", "patches", dice, f"{LEVEL} interval", *others),
        tuple(rows),
    )
    return [*_rules([run for runs in counted.values() for run in runs]), table]


def _rules(runs: Sequence[Run]) -> list[Block]:
    """Names the runs that an earlier version scored by another rule."""
    older = [str(run.path) for run in runs if at(run.results, SPLIT, "foreground_rule") is None]
    both = " The runs below are of both rules." if len(older) < len(runs) else ""
    text = (
        f"{listed(older)}: scored by an earlier version, which took a pixel for nucleus where background was not the"
        f" largest of all logits. The rule is now: {FOREGROUND_RULE}.{both}"
    )
    return [Warn(text)] if older else []


def groups_blocks(part: Part) -> list[Block]:
    """Returns a table by group; nothing for a data set with one group."""
    info = part.cohort.info
    counted = with_counts(part.configurations)
    if len(info.groups) < 2 or not counted:
        return []
    found = [[group_dice(run.counts[SPLIT], info) for run in runs] for runs in counted.values()]
    first = found[0][0]
    rows = [
        (words(group, info), first[group][0], *(mean([dice[group][1] for dice in runs]) for runs in found))
        for group in info.groups
        if group in first
    ]
    caption = (
        f"Mean Dice of the test patches of each {info.group_noun} that have nuclei (`image_skip`), mean over runs. Few"
        " patches tell little."
    )
    headers = (info.group_noun, "patches", *(each.label for each in counted))
    return [Table(part.file(f"{info.group_noun}s"), caption, headers, tuple(rows))]


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


class Density(NamedTuple):
    """Patches of one density class, their mean Dice (None without a nucleus) and share of false-positive pixels."""

    patches: int
    dice: float | None
    false_positive_share: float | None


def density_classes(counts: Counts) -> list[Density]:
    """Returns one row a class of `EDGES`: class k holds EDGES[k-1] < density <= EDGES[k]."""
    cells: np.ndarray = counts.counts[:, 0].astype(np.int64)
    cells = cells[cells.any(axis=1)]
    pixels = cells.sum(axis=1)
    place = np.searchsorted(EDGES, (cells[:, 0] + cells[:, 2]) / pixels, side="left")
    dice = ratios(cells, empty_truth=lambda false_positives: np.full(len(false_positives), np.nan))["dice"]
    found = []
    for here in (place == number for number in range(len(EDGES))):
        shares = (cells[here, 1] / pixels[here]).tolist()
        found.append(Density(int(here.sum()), mean(list(map(defined, dice[here].tolist()))), mean(shares)))
    return found


def density_blocks(part: Part) -> list[Block]:
    """Returns a table by the share of a patch's pixels that are nucleus in truth."""
    counted = with_counts(part.configurations)
    if not counted:
        return []
    found = [[density_classes(run.counts[SPLIT]) for run in runs] for runs in counted.values()]
    rows: list[tuple[Cell, ...]] = []
    for number, each in enumerate(found[0][0]):
        if each.patches:
            values = ([of_run[number] for of_run in runs] for runs in found)
            field = "dice" if number else "false_positive_share"
            cells = (mean([getattr(value, field) for value in of_runs]) for of_runs in values)
            rows.append(
                (_DENSITIES[number], each.patches, "mean Dice" if number else "false positives", *cells)
            )
    caption = (
        "Mean Dice of test patches by the share of their pixels that are nucleus, mean over runs. Patches without a"
        " nucleus have no Dice: there, the share of pixels that the predictions call nucleus."
    )
    headers = ("nucleus pixels", "patches", "shown", *(each.label for each in counted))
    return [Table(part.file("density"), caption, headers, tuple(rows))]
