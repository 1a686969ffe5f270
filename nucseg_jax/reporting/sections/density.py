"""Scores against nucleus density: the share of a patch's pixels that are nucleus in truth."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure as Chart

from nucseg_jax.core.counted import counted
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.scores import ratios
from nucseg_jax.reporting.page.document import Block, Figure, Gap, Heading, Numbers, Value
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.sections.cells import decimal, mean
from nucseg_jax.reporting.sections.drawing import LOOKS, MOST_LINES, chart, chunks, wrapped
from nucseg_jax.reporting.sections.part import Part

SPLIT = "test"
# Upper edges of the classes; the first holds patches without a nucleus.
EDGES = (0.0, 0.05, 0.10, 0.15, 0.20, 0.30, 0.40, 1.0)
_LABELS = ("none", *(f"{100 * low:g}–{100 * high:g} %" for low, high in itertools.pairwise(EDGES)))


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
    """One row a class of `EDGES`."""
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
    """A chart of the test split."""
    blocks: list[Block] = [Heading("Score against nucleus density", 3)]
    shown = [
        configuration
        for configuration in part.cohort.scored
        if any(SPLIT in run.counts for run in configuration.finished)
    ]
    if not shown:
        return [*blocks, Gap(f"No run here has a per_image_{SPLIT}.csv.")]
    for start, some in chunks(shown, MOST_LINES):
        blocks.append(_figure(part, some, "" if start == 0 else f"_sheet_{start // MOST_LINES + 1}"))
    return blocks


def _figure(part: Part, configurations: Sequence[Configuration], sheet: str) -> Figure:
    numbers: list[tuple[Value, ...]] = []
    curves: list[list[float | None]] = []
    patches: list[int] = []
    false_positives = []
    for configuration in configurations:
        runs = [run for run in configuration.finished if SPLIT in run.counts]
        classes = [density_classes(run.counts[SPLIT]) for run in runs]
        for run, of_run in zip(runs, classes, strict=True):
            numbers += [
                (configuration.name, str(run.path), f"per_image_{SPLIT}.csv", run.seed, SPLIT, label, *values)
                for label, values in zip(_LABELS, of_run, strict=True)
            ]
        curves.append([mean([of_run[number].dice for of_run in classes]) for number in range(len(EDGES))])
        patches = [each.patches for each in classes[0]]
        share = mean([of_run[0].false_positive_share for of_run in classes])
        if share is not None:
            false_positives.append(f"{configuration.name} {100 * share:.2f} %")
    empty = (
        f" {counted(patches[0], 'patch')} without a nucleus count for no Dice; there the predictions call nucleus:"
        f" {'; '.join(false_positives)}."
        if patches[0]
        else " No patch is without a nucleus."
    )
    return Figure(
        part.file(f"density{sheet}"),
        "Mean Dice of test patches by the share of their pixels that are nucleus, mean over runs; below each class,"
        f" how many patches it has.{empty}",
        "Dice by density: "
        + "; ".join(
            f"{configuration.name} "
            + ", ".join(
                f"{label} {decimal(value, 3)}"
                for label, value in zip(_LABELS, curve, strict=True)
                if value is not None
            )
            for configuration, curve in zip(configurations, curves, strict=True)
        )
        + ".",
        chart(
            lambda figure: _draw(figure, curves, patches, configurations),
            height_in=3.2 + 0.24 * len(configurations),
        ),
        Numbers(
            (
                "configuration",
                "run",
                "file",
                "seed",
                "split",
                "density",
                "patches",
                "mean_dice",
                "mean_false_positive_share",
            ),
            tuple(numbers),
        ),
    )


def _draw(
    figure: Chart,
    curves: Sequence[Sequence[float | None]],
    patches: Sequence[int],
    configurations: Sequence[Configuration],
) -> None:
    axes = figure.subplots()
    # Without its first class, which has no Dice, and without classes that have no patch.
    shown = [number for number in range(1, len(EDGES)) if patches[number]]
    for configuration, curve, look in zip(configurations, curves, LOOKS, strict=False):
        axes.plot(
            range(len(shown)),
            [np.nan if curve[number] is None else curve[number] for number in shown],
            color=look.color,
            marker=look.marker,
            linestyle=look.dash,
            label=wrapped(configuration.name, width_in=5.2, size_pt=9),
        )
    axes.set_xticks(range(len(shown)), [f"{_LABELS[number]}\nn = {patches[number]}" for number in shown])
    axes.set_xlabel("nucleus pixels of the patch")
    axes.set_ylabel("mean Dice")
    axes.margins(x=0.05)
    figure.legend(loc="outside lower left", ncols=1, handlelength=3)
