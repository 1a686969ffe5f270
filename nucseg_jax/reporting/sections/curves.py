"""Figures 6 to 10: accuracy, loss, Dice, IoU and sensitivity over the epochs, training and validation."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Chart
from matplotlib.ticker import LogFormatter

from nucseg_jax.reporting.page.document import Block, Figure, Gap, Heading, Numbers, Value
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import listed, mean, metric_name
from nucseg_jax.reporting.sections.drawing import (
    BLUE,
    VERMILLION,
    WIDTH_IN,
    chart,
    epoch_axis,
    legend_below,
    panel_rows,
    panels,
    wrapped,
)
from nucseg_jax.reporting.sections.part import Part

FIGURES = {6: "accuracy", 7: "loss", 8: "dice", 9: "iou", 10: "sensitivity"}
_WORDS = {"accuracy": "Accuracy", "loss": "Loss", "dice": "Dice", "iou": "IoU", "sensitivity": "Sensitivity"}
# Taller pages are hard to take in, and to print.
_MOST_PANELS = 8


def curves_blocks(part: Part) -> list[Block]:
    """The five figures, several sheets of each where there are many configurations."""
    blocks: list[Block] = [Heading("Figures 6 to 10: curves over the epochs", 3)]
    drawn = [
        configuration
        for configuration in part.cohort.configurations
        if any(run.epochs for run in configuration.runs)
    ]
    without = [str(run.path) for run in part.cohort.runs if not run.epochs]
    if without:
        blocks.append(Gap(f"No epoch in metrics.jsonl of {listed(without)}."))
    if part.not_run:
        names = listed([paper.name for paper in part.not_run])
        blocks.append(Gap(f"Not run, so not drawn: {names}. The commands stand above Table 2.", repeats=True))
    for number, metric in FIGURES.items():
        for start in range(0, len(drawn), _MOST_PANELS):
            blocks.append(_figure(part, number, metric, drawn[start : start + _MOST_PANELS], start))
    return blocks


def curve(run: Run, split: str, metric: str) -> list[tuple[int, float | None]]:
    """(epoch, value): the loss, or a metric from pooled counts."""
    return [
        (
            line["epoch"],
            at(line, split, metric) if metric == "loss" else at(line, split, "micro", metric),
        )
        for line in run.epochs
    ]


def mean_curve(runs: Sequence[Run], split: str, metric: str) -> list[tuple[int, float | None]]:
    """Mean over runs of the epochs that all of them have."""
    of_runs = [dict(curve(run, split, metric)) for run in runs if run.epochs]
    common = sorted(set.intersection(*map(set, of_runs))) if of_runs else []
    return [(epoch, mean([of_run[epoch] for of_run in of_runs])) for epoch in common]


def is_wide(values: Sequence[Value]) -> bool:
    """Whether one axis for all would flatten the small ones: losses with a large L2 beside losses without."""
    numbers = [value for value in values if isinstance(value, float)]
    return min(numbers, default=0.0) > 0 and max(numbers) > 10 * min(numbers)


def _figure(
    part: Part, number: int, metric: str, configurations: Sequence[Configuration], start: int
) -> Figure:
    sheet = "" if start == 0 else f"_sheet_{start // _MOST_PANELS + 1}"
    numbers: list[tuple[Value, ...]] = [
        (configuration.name, str(run.path), "metrics.jsonl", run.seed, split, epoch, metric, value)
        for configuration in configurations
        for run in configuration.runs
        for split in ("train", "validation")
        for epoch, value in curve(run, split, metric)
    ]
    is_logarithmic = metric == "loss" and is_wide([number[-1] for number in numbers])
    several = any(len(configuration.runs) > 1 for configuration in configurations)
    last = [f"{configuration.name}: {_last_words(configuration, metric)}" for configuration in configurations]
    return Figure(
        part.file(f"figure_{number}_{metric}{sheet}"),
        f"Figure {number}, {metric_name(metric)} over the epochs: training as it"
        " went (batch statistics, dropout, augmented tiles) and validation"
        + ("" if metric == "loss" else ", both from pooled counts")
        + (". Thin lines are runs, thick ones their mean" if several else "")
        + ". The ring marks the epoch whose checkpoint was scored"
        + (" in each run" if several else "")
        + "."
        + (" The axis is logarithmic." if is_logarithmic else ""),
        f"{_WORDS[metric]} over epochs. " + ". ".join(last) + ".",
        chart(
            lambda figure: _draw(figure, configurations, metric, is_logarithmic),
            height_in=0.8 + 2.3 * panel_rows(len(configurations)),
        ),
        Numbers(
            ("configuration", "run", "file", "seed", "split", "epoch", "metric", "value"), tuple(numbers)
        ),
    )


def _draw(figure: Chart, configurations: Sequence[Configuration], metric: str, is_logarithmic: bool) -> None:
    all_axes = panels(figure, len(configurations))
    columns = min(2, len(configurations))
    for axes, configuration in zip(all_axes, configurations, strict=True):
        _draw_panel(axes, configuration, metric)
        axes.set_title(wrapped(configuration.name, width_in=WIDTH_IN / columns - 0.7))
    for axes in all_axes[-columns:]:
        epoch_axis(axes)
    for axes in all_axes[::columns]:
        axes.set_ylabel(_WORDS[metric])
    if is_logarithmic:
        for axes in all_axes:
            axes.set_yscale("log")
            # Without formulas, which charts do not draw: names of runs may hold a dollar.
            axes.yaxis.set_major_formatter(LogFormatter())
            axes.yaxis.set_minor_formatter(LogFormatter())
    legend_below(figure, all_axes[0], columns=3)


def _draw_panel(axes: Axes, configuration: Configuration, metric: str) -> None:
    runs = [run for run in configuration.runs if run.epochs]
    looks = (("train", BLUE, "-", "training"), ("validation", VERMILLION, (0, (5, 2)), "validation"))
    for split, color, dash, word in looks:
        if len(runs) > 1:
            for run in runs:
                axes.plot(*_xy(curve(run, split, metric)), color=color, linestyle=dash, lw=0.8, alpha=0.45)
        marker = "o" if len(runs[0].epochs) == 1 else ""
        axes.plot(
            *_xy(mean_curve(runs, split, metric)), color=color, linestyle=dash, marker=marker, label=word
        )
    for position, run in enumerate(run for run in runs if run.results is not None):
        chosen = run.chosen_epoch()
        values = dict(curve(run, "validation", metric))
        if chosen is not None and values[chosen] is not None:
            axes.plot(
                [chosen],
                [values[chosen]],
                "o",
                markerfacecolor="none",
                markeredgecolor=VERMILLION,
                markersize=8,
                label="scored checkpoint" if position == 0 else None,
            )


def _xy(points: Sequence[tuple[int, float | None]]) -> tuple[list[int], list[float]]:
    return [epoch for epoch, _ in points], [float("nan") if value is None else value for _, value in points]


def _last_words(configuration: Configuration, metric: str) -> str:
    runs = [run for run in configuration.runs if run.epochs]
    parts = []
    for split, word in (("train", "training"), ("validation", "validation")):
        points = [value for _, value in mean_curve(runs, split, metric) if value is not None]
        if points:
            parts.append(f"{word} from {points[0]:.3f} to {points[-1]:.3f}")
    return ", ".join(parts) or "undefined"
