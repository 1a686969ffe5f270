"""Figures of intervals: test scores with the runs and baselines, and paired differences."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Chart

from nucseg_jax.evaluation.bootstrap import MEASURES
from nucseg_jax.reporting.page.document import Figure, Numbers, Value
from nucseg_jax.reporting.reading.run import at
from nucseg_jax.reporting.sections.cells import defined, interval, signed
from nucseg_jax.reporting.sections.comparison import (
    BASELINE_NAMES,
    MOST_FOR_ALL_PAIRS,
    SPLIT,
    Baselines,
    Compared,
    run_scores,
)
from nucseg_jax.reporting.sections.drawing import BLUE, INK, chart, wrapped
from nucseg_jax.reporting.sections.part import Part

_MAIN = MEASURES.index(("micro", "dice"))
_NAME_WIDTH_IN = 5.8
_LINE_IN = 0.17


def scores_figure(part: Part, compared: Compared, baselines: Baselines) -> Figure:
    """Micro Dice of every configuration."""
    measure = MEASURES[_MAIN]
    lines = {BASELINE_NAMES.get(name, name): at(entry, *measure) for name, (_, _, entry) in baselines.items()}
    names = [configuration.name for configuration in compared.configurations]
    points = [run_scores(runs, measure) for runs in compared.runs]
    rows = [tuple(float(values[number, _MAIN]) for values in compared.scores) for number in range(len(names))]
    numbers: list[tuple[Value, ...]] = []
    for configuration, runs, of_runs, (estimate, low, high) in zip(
        compared.configurations, compared.runs, points, rows, strict=True
    ):
        numbers += [
            (configuration.name, str(run.path), "results.json", run.seed, value, None, None)
            for run, value in zip(runs, of_runs, strict=True)
        ]
        source = f"per_image_{SPLIT}.csv of these runs"
        numbers.append((configuration.name, "", source, "", *map(defined, (estimate, low, high))))
    numbers += [
        (name, str(run.path), file, "", at(entry, *measure), None, None)
        for name, (run, file, entry) in baselines.items()
    ]
    return Figure(
        part.file("intervals"),
        "Test micro Dice: the mean over runs with its interval over patches (bar), and the runs where there are several"
        f" (open circles).{' Dashed: baselines.' if lines else ''}",
        "Test micro Dice: "
        + "; ".join(
            f"{name} {estimate:.3f}, interval {interval(low, high)}"
            for name, (estimate, low, high) in zip(names, rows, strict=True)
        )
        + ".",
        chart(
            lambda figure: _draw_rows(figure, names, rows, points, lines, "micro Dice in test"),
            height_in=_height_in(names) + 0.3 * bool(lines),
        ),
        Numbers(("configuration", "run", "file", "seed", "micro_dice", "low", "high"), tuple(numbers)),
    )


def differences_figure(part: Part, compared: Compared) -> Figure:
    """The difference in micro Dice of every pair."""
    names = [
        f"{compared.configurations[first].name}\n− {compared.configurations[second].name}"
        for first, second in compared.pairs
    ]
    rows = [
        tuple(float(values[number, _MAIN]) for values in compared.differences) for number in range(len(names))
    ]
    numbers: list[tuple[Value, ...]] = []
    for (first, second), row in zip(compared.pairs, rows, strict=True):
        pair = [compared.configurations[side].name for side in (first, second)]
        runs = [" ".join(str(run.path) for run in compared.runs[side]) for side in (first, second)]
        numbers.append((*pair, *runs, f"per_image_{SPLIT}.csv", *map(defined, row)))
    against = (
        ""
        if len(compared.configurations) <= MOST_FOR_ALL_PAIRS
        else " There are many configurations: each is set against the first of its model, and the first of each model"
        " against the very first."
    )
    return Figure(
        part.file("differences"),
        "Differences in test micro Dice, the first configuration minus the second, with paired intervals. An interval"
        f" that holds 0 leaves open which is better.{against}",
        "Differences in test micro Dice: "
        + "; ".join(
            f"{' '.join(name.split())} {signed(estimate)}, interval {interval(low, high, with_sign=True)}"
            for name, (estimate, low, high) in zip(names, rows, strict=True)
        )
        + ".",
        chart(
            lambda figure: _draw_rows(
                figure, names, rows, [[] for _ in names], {}, "difference in micro Dice", zero=True
            ),
            height_in=_height_in(names),
        ),
        Numbers(
            ("first", "second", "runs_of_first", "runs_of_second", "file", "difference", "low", "high"),
            tuple(numbers),
        ),
    )


def _height_in(names: Sequence[str]) -> float:
    lines = sum(_broken(name).count("\n") + 1 for name in names)
    return 0.75 + 0.42 * len(names) + _LINE_IN * lines


def _broken(name: str) -> str:
    return "\n".join(wrapped(line, width_in=_NAME_WIDTH_IN, size_pt=9.5) for line in name.split("\n"))


def _draw_rows(
    figure: Chart,
    names: Sequence[str],
    rows: Sequence[Sequence[float]],
    points: Sequence[Sequence[float | None]],
    lines: Mapping[str, float | None],
    label: str,
    *,
    zero: bool = False,
) -> None:
    """Names above their intervals, one below the other; a scale in inches downwards."""
    axes = figure.subplots()
    y = 0.0
    for name, (estimate, low, high), of_runs in zip(names, rows, points, strict=True):
        text = _broken(name)
        y += 0.12
        _name_above(axes, y, text)
        y += _LINE_IN * (text.count("\n") + 1) + 0.12
        if np.isfinite([low, high]).all():
            axes.plot([low, high], [y, y], color=BLUE, lw=3.2, solid_capstyle="butt", alpha=0.55)
        axes.plot([estimate], [y], "o", color=BLUE, markersize=7.5)
        there = [value for value in of_runs if value is not None]
        if len(there) > 1:
            axes.plot(there, [y] * len(there), "o", mfc="none", mec=INK, mew=0.9, markersize=5, zorder=3)
        y += 0.18
    for number, (name, value) in enumerate(lines.items()):
        if value is not None:
            dash = ((0, (5, 2)), (0, (1, 1)))[number % 2]
            axes.axvline(value, color=INK, lw=1.2, linestyle=dash, label=f"{name} {value:.3f}", zorder=1)
    if zero:
        axes.axvline(0, color=INK, lw=1.0, zorder=1)
    axes.set_ylim(y + 0.06, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)
    axes.margins(x=0.06)
    if lines:
        figure.legend(loc="outside lower left", ncols=2, handlelength=3)


def _name_above(axes: Axes, y: float, text: str) -> None:
    # From the left edge of the axes, whatever the scale is; the page's colour keeps grid lines off the letters.
    axes.text(
        0,
        y,
        text,
        transform=axes.get_yaxis_transform(),
        va="top",
        fontsize=9.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        zorder=4,
    )
