"""Curves over the epochs, training and validation: Dice and loss, or all five of the paper's Figures 6 to 10."""

from collections.abc import Sequence

from nucseg_jax.reporting.page.chart import Chart, Panel, Series
from nucseg_jax.reporting.page.document import Block, Figure
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import gap_of, mean, metric_name, short
from nucseg_jax.reporting.sections.part import Part

FIGURES = ("dice", "loss")
FIGURES_OF_THE_PAPER = ("accuracy", "loss", "dice", "iou", "sensitivity")
_LOOKS = {"train": ("training", 0), "validation": ("validation", 1)}


def curves_blocks(part: Part) -> list[Block]:
    """Returns a figure for each metric, with a panel for each configuration."""
    without = [run for run in part.cohort.runs if not run.epochs]
    blocks = gap_of(without, "No epoch in metrics.jsonl of {}.")
    drawn = [each for each in part.rows if any(run.epochs for run in each.runs)]
    for metric in FIGURES_OF_THE_PAPER if part.is_paper else FIGURES:
        if drawn:
            blocks.append(_figure(part, metric, drawn))
    return blocks


def curve(run: Run, split: str, metric: str, *place: str) -> list[tuple[int, float | None]]:
    """Returns (epoch, value) of the loss, or of a metric from pooled counts, at a place in the split's entry."""
    names = (metric,) if metric == "loss" else ("micro", metric)
    return [(line["epoch"], at(line, split, *place, *names)) for line in run.epochs]


def mean_curve(runs: Sequence[Run], split: str, metric: str) -> list[tuple[int, float | None]]:
    """Returns the mean over runs of the epochs that all of them have."""
    of_runs = [dict(curve(run, split, metric)) for run in runs if run.epochs]
    common = sorted(set.intersection(*map(set, of_runs))) if of_runs else []
    return [(epoch, mean([of_run[epoch] for of_run in of_runs])) for epoch in common]


def is_wide(values: Sequence[float | None]) -> bool:
    """Returns True if one axis for all would flatten the small ones: losses with a large L2 beside losses without."""
    numbers = [value for value in values if value is not None]
    return min(numbers, default=0.0) > 0 and max(numbers) > 10 * min(numbers)


def _figure(part: Part, metric: str, configurations: Sequence[Configuration]) -> Figure:
    panels = tuple(Panel(each.label, tuple(_series(each, metric))) for each in configurations)
    values = [y for panel in panels for series in panel.series for _, y in series.points]
    is_log = metric == "loss" and is_wide(values)
    ends = []
    for panel in panels:
        lines = [series for series in panel.series if series.style == "line" and series.points]
        words = (
            f"{each.name} from {short(each.points[0][1])} to {short(each.points[-1][1])}" for each in lines
        )
        ends.append(f"{panel.title}: {', '.join(words)}")
    return Figure(
        part.file(f"curves_{metric}"),
        f"{metric_name(metric)} over the epochs: training as it went (batch statistics, dropout, augmented tiles) and"
        f" validation{'' if metric == 'loss' else ', both from pooled counts'}. Thin lines are runs, thick ones their"
        f" mean; a ring is the scored checkpoint of a run.{' The axis is logarithmic.' if is_log else ''}",
        f"{metric_name(metric)} over epochs. {'. '.join(ends)}.",
        Chart("epoch", metric_name(metric), panels, is_log=is_log),
    )


def _series(configuration: Configuration, metric: str) -> list[Series]:
    runs = [run for run in configuration.runs if run.epochs]
    series = []
    for split, (word, look) in _LOOKS.items():
        for run in runs if len(runs) > 1 else ():
            points = tuple(curve(run, split, metric))
            series.append(Series(f"{word}, {run.path.name}", points, look, "thin"))
        points = tuple(mean_curve(runs, split, metric))
        series.append(Series(word, points, look))
    scored = [
        (chosen, dict(curve(run, "validation", metric)).get(chosen))
        for run in runs
        if run.results is not None and (chosen := run.chosen_epoch()) is not None
    ]
    return [*series, Series("scored checkpoint", tuple(scored), 0, "ring")]
