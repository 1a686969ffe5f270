"""Figures 13 to 15: Dice, IoU and accuracy of every model on training, validation and test."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure as Chart

from nucseg_jax.reporting.page.document import Block, Figure, Heading, Numbers, Value
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.paper import CITATION, PaperModel
from nucseg_jax.reporting.sections.cells import (
    SPLIT_WORDS,
    decimal,
    mean,
    metric_name,
    sample_deviation,
)
from nucseg_jax.reporting.sections.drawing import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    WIDTH_IN,
    chart,
    chunks,
    wrapped,
)
from nucseg_jax.reporting.sections.part import Part

FIGURES = {13: "dice", 14: "iou", 15: "accuracy"}
CONVENTION = "batch8"
_COLORS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
_MOST_ROWS = 8
# In heights of a bar: a line of a title; three bars and the space above them; and that height.
_TITLE_PT = 9.5
_TITLE_LINE, _GROUP, _UNIT_IN = 0.82, 3.6, 0.22


class Row(NamedTuple):
    """One model in a figure; without a configuration it was not run."""

    name: str
    paper: PaperModel | None
    configuration: Configuration | None


def bars_blocks(part: Part) -> list[Block]:
    """The three figures."""
    blocks: list[Block] = [Heading("Figures 13 to 15: scores by split", 3)]
    rows = _rows(part)
    for number, metric in FIGURES.items():
        for start, some in chunks(rows, _MOST_ROWS):
            blocks.append(_figure(part, number, metric, some, start))
    return blocks


def _rows(part: Part) -> list[Row]:
    rows = [Row(each.name, each.paper, each) for each in part.cohort.scored]
    # Absent models of the paper stay visible as empty rows, after what there is.
    return rows + [Row(paper.name, paper, None) for paper in part.not_run]


def _values(row: Row, split: str, metric: str) -> list[float | None]:
    runs = row.configuration.finished if row.configuration else ()
    return [run.score(split, CONVENTION, metric) for run in runs]


def _figure(part: Part, number: int, metric: str, rows: Sequence[Row], start: int) -> Figure:
    sheet = "" if start == 0 else f"_sheet_{start // _MOST_ROWS + 1}"
    numbers: list[tuple[Value, ...]] = []
    words = []
    for row in rows:
        if row.configuration is not None:
            for split in SPLIT_WORDS:
                numbers += [
                    (row.name, str(run.path), "results.json", run.seed, split, CONVENTION, metric, value)
                    for run, value in zip(
                        row.configuration.finished, _values(row, split, metric), strict=True
                    )
                ]
            tested = decimal(mean(_values(row, "test", metric)), 3)
            words.append(f"{row.name}: {tested} in test")
        else:
            words.append(f"{row.name}: not run")
        if row.paper is not None:
            numbers.append(
                (row.name, "", f"{CITATION}, Table 4", "", "test", "", metric, row.paper.test[metric])
            )
    return Figure(
        part.file(f"figure_{number}_{metric}{sheet}"),
        f"Figure {number}, {metric_name(metric)} by split, in the convention `{CONVENTION}` as in Table 4; mean over"
        " runs, the whisker is their sample standard deviation. The diamond is the paper's test value, on other"
        " patches.",
        f"Bars of {metric_name(metric)}. " + "; ".join(words) + ".",
        chart(lambda figure: _draw(figure, rows, metric), height_in=_height_in(rows)),
        Numbers(("model", "run", "file", "seed", "split", "convention", "metric", "value"), tuple(numbers)),
    )


def _title(row: Row) -> str:
    # Beside the names of the splits.
    return wrapped(row.name, width_in=WIDTH_IN - 1.1, size_pt=_TITLE_PT, bold=True)


def _height_in(rows: Sequence[Row]) -> float:
    return 0.9 + sum(_TITLE_LINE * (_title(row).count("\n") + 1) + _GROUP for row in rows) * _UNIT_IN


def _draw(figure: Chart, rows: Sequence[Row], metric: str) -> None:
    axes = figure.subplots()
    ticks, labels = [], []
    has_paper = False
    y = 0.0
    for row in rows:
        title = _title(row)
        axes.text(0, y, title, va="top", weight="bold", fontsize=_TITLE_PT, linespacing=1.15)
        y += _TITLE_LINE * (title.count("\n") + 1) + 0.6
        for split, word in SPLIT_WORDS.items():
            ticks.append(y)
            labels.append(word)
            value = mean(_values(row, split, metric))
            if value is None:
                words = "not run" if row.configuration is None else "undefined"
                axes.text(0.01, y, words, va="center_baseline", color=FAINT, style="italic", fontsize=9)
            else:
                deviation = sample_deviation(_values(row, split, metric))
                axes.barh(y, value, height=0.82, color=_COLORS[split])
                if deviation is not None:
                    axes.errorbar(value, y, xerr=deviation, color=INK, lw=1.2, capsize=3)
                axes.text(1.015, y, f"{value:.3f}", va="center_baseline", fontsize=9)
            if split == "test" and row.paper is not None:
                axes.plot(
                    row.paper.test[metric],
                    y,
                    "D",
                    color="white",
                    markeredgecolor=INK,
                    markersize=6.5,
                    zorder=5,
                    label=None if has_paper else "the paper's test value",
                )
                has_paper = True
            y += 1
    axes.set_yticks(ticks, labels)
    axes.set_ylim(y - 0.2, -0.15)
    axes.set_xlim(0, 1)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(metric_name(metric))
    if has_paper:
        figure.legend(loc="outside lower left")
