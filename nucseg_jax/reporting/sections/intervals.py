"""Means over seeds with their spread, intervals over patches, differences between configurations, baselines."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Chart

from nucseg_jax.evaluation.bootstrap import (
    CONFIDENCE,
    MEASURES,
    RESAMPLES,
    Intervals,
    bootstrap_intervals,
    comparison,
)
from nucseg_jax.reporting.page.document import (
    Block,
    Figure,
    Gap,
    Heading,
    Numbers,
    Paragraph,
    Table,
    Value,
)
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import (
    METRIC_NAMES,
    decimal,
    defined,
    interval,
    sample_deviation,
    signed,
    with_deviation,
)
from nucseg_jax.reporting.sections.drawing import BLUE, INK, chart, wrapped
from nucseg_jax.reporting.sections.part import Part

SPLIT = "test"
# With more configurations than this not all pairs are compared: they grow with the square.
MOST_FOR_ALL_PAIRS = 5
_MAIN = MEASURES.index(("micro", "dice"))
_BASELINES = {"otsu_hematoxylin": "Otsu on hematoxylin", "all_foreground": "all foreground"}
_LEVEL = f"{100 * CONFIDENCE:g} %"
_NOT_COVERED = (
    f"Intervals are {_LEVEL} percentile bootstrap intervals from {RESAMPLES:,} resamples of the test patches,"
    " the same resamples for all configurations and all their runs, so that differences are paired. They say how the"
    " mean of the runs that were made would move with other patches. They do not cover that patches of one slide"
    " resemble each other, nor other seeds than those that were run (their spread is the ± beside the mean), and they"
    " are not adjusted for the number of comparisons."
)


class Compared(NamedTuple):
    """Intervals of a cohort.

    Attributes:
      configurations: those that have counts, in order.
      runs: of each, the runs that have counts.
      pairs: (minuend, subtrahend), positions in `configurations`.
      scores: [configurations, measures] each.
      differences: [pairs, measures] each.
    """

    configurations: tuple[Configuration, ...]
    runs: tuple[tuple[Run, ...], ...]
    pairs: tuple[tuple[int, int], ...]
    scores: Intervals
    differences: Intervals


def compare(configurations: Sequence[Configuration]) -> Compared | None:
    """Bootstraps all configurations that have counts of the test split; None without any."""
    counted = [
        (configuration, tuple(run for run in configuration.finished if SPLIT in run.counts))
        for configuration in configurations
    ]
    counted = [(configuration, runs) for configuration, runs in counted if runs]
    if not counted:
        return None
    number = len(counted)
    pairs = choose_pairs([configuration.model for configuration, _ in counted])
    cells = [
        np.stack([run.counts[SPLIT].counts[:, 0] for run in runs]).astype(np.int64) for _, runs in counted
    ]
    found = bootstrap_intervals(comparison(cells, pairs), patches=cells[0].shape[1])
    rows = Intervals(*(values.reshape(-1, len(MEASURES)) for values in found))
    return Compared(
        tuple(configuration for configuration, _ in counted),
        tuple(runs for _, runs in counted),
        tuple(pairs),
        Intervals(*(values[:number] for values in rows)),
        Intervals(*(values[number:] for values in rows)),
    )


def choose_pairs(models: Sequence[str]) -> list[tuple[int, int]]:
    """(minuend, subtrahend) of the differences that are shown.

    All pairs of a few configurations. Of many, each against the first of its model, and the first of each model
    against the very first.

    >>> choose_pairs(["unet", "unet", "deeplab"])
    [(1, 0), (2, 0), (2, 1)]
    >>> choose_pairs(["unet", "unet", "deeplab", "deeplab", "deeplab", "other"])
    [(1, 0), (2, 0), (3, 2), (4, 2), (5, 0)]
    """
    if len(models) <= MOST_FOR_ALL_PAIRS:
        return [(later, earlier) for later in range(len(models)) for earlier in range(later)]
    firsts = [models.index(model) for model in models]
    return [(number, first if first != number else 0) for number, first in enumerate(firsts) if number]


def intervals_blocks(part: Part) -> list[Block]:
    """Scores and differences with their intervals, and what can be had without learning."""
    blocks: list[Block] = [
        Heading("Seeds, intervals and differences", 3),
        Paragraph(_NOT_COVERED),
    ]
    compared = compare(part.cohort.scored)
    baselines = find_baselines(part)
    if compared is None:
        return [*blocks, Gap(f"No finished run here has a per_image_{SPLIT}.csv.")]
    blocks += [_scores_figure(part, compared, baselines), _scores_table(part, compared)]
    if compared.pairs:
        blocks += [_differences_figure(part, compared), _differences_table(part, compared)]
    else:
        blocks.append(Gap("One configuration alone has no difference to another."))
    single = [
        configuration.name
        for configuration, runs in zip(compared.configurations, compared.runs, strict=True)
        if len(runs) == 1
    ]
    if single:
        blocks.append(
            Gap(
                f"One seed only: {'; '.join(single)}. How far another seed would be away is not known; runs with"
                " other values of train.seed join the configuration by themselves."
            )
        )
    if baselines:
        blocks.append(_baselines_table(part, baselines))
    else:
        blocks.append(
            Gap(
                "Baselines (Otsu, all foreground) were not scored on these patches.",
                next_command.evaluate(compared.runs[0][0], "--baselines"),
            )
        )
    return blocks


def find_baselines(part: Part) -> Mapping[str, tuple[Run, str, Mapping[str, object]]]:
    """By name: a run and the file in it that has the baseline's scores of the test split, and the scores."""
    found: dict[str, tuple[Run, str, Mapping[str, object]]] = {}
    for run in part.cohort.runs:
        for evaluation in run.evaluations:
            if evaluation.split == SPLIT:
                for name, entry in evaluation.baselines.items():
                    found.setdefault(name, (run, evaluation.file, entry))
    return found


def _run_scores(runs: Sequence[Run], measure: tuple[str, str]) -> list[float | None]:
    convention, metric = measure
    return [run.score(SPLIT, convention, metric) for run in runs]


def _measure_name(measure: tuple[str, str]) -> str:
    convention, metric = measure
    return f"{METRIC_NAMES[metric]}, {convention}"


def _scores_table(part: Part, compared: Compared) -> Table:
    shown: list[tuple[str, ...]] = []
    numbers: list[tuple[Value, ...]] = []
    for number, (configuration, runs) in enumerate(zip(compared.configurations, compared.runs, strict=True)):
        cells, key = [], (configuration.name,)
        for place, measure in enumerate(MEASURES):
            estimate, low, high = (float(values[number, place]) for values in compared.scores)
            deviation = sample_deviation(_run_scores(runs, measure))
            cells += [with_deviation(defined(estimate), deviation), interval(low, high)]
            numbers += [
                (*key, str(run.path), "results.json", run.seed, SPLIT, *measure, value, None, None, None)
                for run, value in zip(runs, _run_scores(runs, measure), strict=True)
            ]
            source = ("", f"per_image_{SPLIT}.csv of these runs", "")
            summary = (defined(estimate), deviation, defined(low), defined(high))
            numbers.append((*key, *source, SPLIT, *measure, *summary))
        shown.append((configuration.name, str(len(runs)), *cells))
    headers = [header for measure in MEASURES for header in (_measure_name(measure), f"{_LEVEL} interval")]
    return Table(
        part.file("intervals"),
        "Test scores, mean over runs ± sample standard deviation over them, and the interval of that mean.",
        ("configuration", "runs", *headers),
        tuple(shown),
        Numbers(
            (
                "configuration",
                "run",
                "file",
                "seed",
                "split",
                "convention",
                "metric",
                "value",
                "standard_deviation_over_runs",
                "low",
                "high",
            ),
            tuple(numbers),
        ),
    )


def _differences_table(part: Part, compared: Compared) -> Table:
    shown, numbers = [], []
    for number, (first, second) in enumerate(compared.pairs):
        names = compared.configurations[first].name, compared.configurations[second].name
        cells = []
        for place, measure in enumerate(MEASURES):
            estimate, low, high = (float(values[number, place]) for values in compared.differences)
            cells += [signed(estimate), interval(low, high, with_sign=True)]
            runs = [" ".join(str(run.path) for run in compared.runs[side]) for side in (first, second)]
            summary = map(defined, (estimate, low, high))
            numbers.append((*names, *runs, f"per_image_{SPLIT}.csv", SPLIT, *measure, *summary))
        shown.append((*names, *cells))
    headers = [header for measure in MEASURES for header in (_measure_name(measure), f"{_LEVEL} interval")]
    return Table(
        part.file("differences"),
        "Differences in test scores, the first configuration minus the second, with intervals.",
        ("first", "minus second", *headers),
        tuple(shown),
        Numbers(
            (
                "first",
                "second",
                "runs_of_first",
                "runs_of_second",
                "file",
                "split",
                "convention",
                "metric",
                "difference",
                "low",
                "high",
            ),
            tuple(numbers),
        ),
    )


def _baselines_table(part: Part, baselines: Mapping[str, tuple[Run, str, Mapping[str, object]]]) -> Table:
    shown, numbers = [], []
    for name, (run, file, entry) in baselines.items():
        values = [at(entry, convention, metric) for convention, metric in MEASURES]
        shown.append((_BASELINES.get(name, name), *map(decimal, values)))
        numbers += [
            (name, str(run.path), file, SPLIT, *measure, value)
            for measure, value in zip(MEASURES, values, strict=True)
        ]
    return Table(
        part.file("baselines"),
        "What can be had without learning, on the same test patches. A model that does not beat it has learned"
        " little.",
        ("baseline", *map(_measure_name, MEASURES)),
        tuple(shown),
        Numbers(("baseline", "run", "file", "split", "convention", "metric", "value"), tuple(numbers)),
    )


def _scores_figure(
    part: Part, compared: Compared, baselines: Mapping[str, tuple[Run, str, Mapping[str, object]]]
) -> Figure:
    measure = MEASURES[_MAIN]
    lines = {_BASELINES.get(name, name): at(entry, *measure) for name, (_, _, entry) in baselines.items()}
    names = [configuration.name for configuration in compared.configurations]
    points = [_run_scores(runs, measure) for runs in compared.runs]
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


def _differences_figure(part: Part, compared: Compared) -> Figure:
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


_NAME_WIDTH_IN = 5.8
_LINE_IN = 0.17


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
