"""Scores against nucleus density: the share of a patch's pixels that are nucleus in truth."""

import itertools
from typing import NamedTuple

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.scores import ratios
from nucseg_jax.reporting.page.chart import MOST_LINES, Chart, Panel, Point, Series
from nucseg_jax.reporting.page.document import Block, Figure
from nucseg_jax.reporting.sections.cells import chunks, mean, short
from nucseg_jax.reporting.sections.comparison import counted_runs
from nucseg_jax.reporting.sections.part import Part

SPLIT = "test"
# Upper edges of the classes; the first holds patches without a nucleus.
EDGES = (0.0, 0.05, 0.10, 0.15, 0.20, 0.30, 0.40, 1.0)
_LABELS = ("none", *(f"{100 * low:g}–{100 * high:g}" for low, high in itertools.pairwise(EDGES)))


class Class(NamedTuple):
    """Patches of one density class.

    Attributes:
      patches: how many.
      dice: mean of their Dice; None for patches without a nucleus, and without patches.
      false_positive_share: mean share of their pixels that are nucleus in the prediction alone.
    """

    patches: int
    dice: float | None
    false_positive_share: float | None


def density_classes(counts: Counts) -> list[Class]:
    """Returns one row a class of `EDGES`."""
    cells: np.ndarray = counts.counts[:, 0].astype(np.int64)
    cells = cells[cells.any(axis=1)]
    pixels = cells.sum(axis=1)
    density = (cells[:, 0] + cells[:, 2]) / pixels
    # Class k holds EDGES[k-1] < density <= EDGES[k].
    place = np.searchsorted(EDGES, density, side="left")
    dice = ratios(cells, empty_truth=lambda false_positives: np.full(len(false_positives), np.nan))["dice"]
    found = []
    for number in range(len(EDGES)):
        here = place == number
        defined = dice[here][np.isfinite(dice[here])].tolist()
        shares = (cells[here, 1] / pixels[here]).tolist()
        found.append(Class(int(here.sum()), mean(defined), mean(shares)))
    return found


def density_blocks(part: Part) -> list[Block]:
    """Returns a chart of the test split."""
    series: list[Series] = []
    patches: list[int] = []
    empty, said = [], []
    for configuration in part.configurations:
        classes = [density_classes(run.counts[SPLIT]) for run in counted_runs(configuration, SPLIT)]
        if not classes:
            continue
        patches = [each.patches for each in classes[0]]
        there = [number for number in range(1, len(EDGES)) if patches[number]]
        dice = [mean([of_run[number].dice for of_run in classes]) for number in there]
        points = tuple(Point(place, value) for place, value in enumerate(dice))
        series.append(Series(configuration.label, points, len(series) % MOST_LINES, "marked"))
        curve = zip(there, dice, strict=True)
        said.append(
            f"{configuration.label} "
            + ", ".join(f"{_LABELS[number]} % {short(value)}" for number, value in curve)
        )
        share = mean([of_run[0].false_positive_share for of_run in classes])
        if share is not None:
            empty.append(f"{configuration.label} {100 * share:.2f} %")
    if not series:
        return []
    names = tuple(
        f"{_LABELS[number]} ({patches[number]})" for number in range(1, len(EDGES)) if patches[number]
    )
    panels = tuple(Panel("", tuple(some)) for some in chunks(series, MOST_LINES))
    without = (
        f" {counted(patches[0], 'patch')} without a nucleus count for no Dice; there the predictions call nucleus:"
        f" {'; '.join(empty)}."
        if patches[0]
        else " No patch is without a nucleus."
    )
    return [
        Figure(
            part.file("density"),
            "Mean Dice of test patches by the share of their pixels that are nucleus, mean over runs; in parentheses,"
            f" patches.{without}",
            f"Dice by density: {'; '.join(said)}.",
            Chart("nucleus pixels of the patch, % (patches)", "mean Dice", panels, names=names),
        )
    ]
