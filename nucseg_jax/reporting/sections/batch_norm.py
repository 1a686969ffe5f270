"""The batch-norm gap of each run: what training sees, and what the statistics kept for evaluation make of it."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure as Chart

from nucseg_jax.reporting.page.document import (
    NOT_MEASURED,
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
from nucseg_jax.reporting.sections.cells import SPLIT_WORDS, decimal, listed
from nucseg_jax.reporting.sections.curves import curve
from nucseg_jax.reporting.sections.drawing import (
    BLUE,
    GREEN,
    VERMILLION,
    WIDTH_IN,
    chart,
    chunks,
    epoch_axis,
    legend_below,
    panel_rows,
    panels,
    wrapped,
)
from nucseg_jax.reporting.sections.part import Part

MOVING, BATCH, REESTIMATED = "moving", "batch", "re-estimated"
_SPLITS = ("validation", "test")
_MOST_PANELS = 8
_READING = (
    "A batch norm trains with the statistics of each batch and is evaluated with moving ones, which remember weights"
    " of many steps ago. Where those weights still change fast (strong L2, few steps, momentum .99), training looks"
    " fine and evaluation collapses. Re-estimated statistics come from one pass over training tiles with the final"
    " weights; batch statistics are those of the evaluation batches and depend on their size: a diagnosis, no score."
    " The paper's DeepLabV3+ EfficientNet-B4 has a Dice of .87 in training and .6419 in test (sensitivity .5212; .83 in"
    " validation): a gap of this kind might explain it, and nothing in the paper shows that it does."
)


class Measured(NamedTuple):
    """A score and where it stands."""

    value: float | None
    file: str


# What stands beside the statistics that were chosen, in an entry of results.json.
_KEYS = {
    MOVING: "moving_statistics",
    BATCH: "batch_statistics",
    REESTIMATED: "reestimated_statistics",
}


def measured(run: Run, split: str, metric: str) -> dict[str, Measured]:
    """A run's micro score by the statistics that were used; what was not measured is missing."""
    sources = [("results.json", at(run.results, split), run.config)]
    sources += [
        (evaluation.file, evaluation.entry, evaluation.about)
        for evaluation in run.evaluations
        if evaluation.split == split
    ]
    found: dict[str, Measured] = {}
    for file, entry, about in sources:
        if entry is None:
            continue
        chosen = REESTIMATED if at(about, "eval", "reestimate_batch_norm") else MOVING
        found.setdefault(chosen, Measured(at(entry, "micro", metric), file))
        for name, key in _KEYS.items():
            if key in entry:
                found.setdefault(name, Measured(at(entry, key, "micro", metric), file))
    return found


def batch_norm_blocks(part: Part) -> list[Block]:
    """A table of all finished runs, and curves of those that logged both scores."""
    blocks: list[Block] = [Heading("The batch-norm gap", 3), Paragraph(_READING)]
    runs = [
        (configuration, run)
        for configuration in part.cohort.configurations
        for run in configuration.runs
        if run.results is not None
    ]
    if runs:
        blocks.append(_table(part, runs))
    incomplete = [
        run
        for _, run in runs
        if any({BATCH, REESTIMATED} - measured(run, split, "dice").keys() for split in ("test",))
    ]
    if incomplete:
        blocks.append(
            Gap(
                "Without scores by batch statistics or by re-estimated ones:"
                f" {listed([str(run.path) for run in incomplete])}. This command measures them in test.",
                next_command.evaluate(incomplete[0], "--config.eval.compare_statistics=end"),
            )
        )
    logged = [
        (configuration, run)
        for configuration in part.cohort.configurations
        for run in configuration.runs
        if any(at(line, "validation", "batch_statistics") for line in run.epochs)
    ]
    for start, some in chunks(logged, _MOST_PANELS):
        blocks.append(_figure(part, some, "" if start == 0 else f"_sheet_{start // _MOST_PANELS + 1}"))
    without = [run for run in part.cohort.runs if run.epochs and run not in [run for _, run in logged]]
    if without:
        blocks.append(
            Gap(
                "By epoch, the score with batch statistics was not logged in"
                f" {listed([str(run.path) for run in without])}.",
                next_command.train_again(without[0], "--config.eval.compare_statistics=epochs"),
            )
        )
    return blocks


def _training_dice(run: Run, epoch: int | None) -> float | None:
    return dict(curve(run, "train", "dice")).get(epoch) if epoch is not None else None


def _table(part: Part, runs: Sequence[tuple[Configuration, Run]]) -> Table:
    shown, numbers = [], []
    for configuration, run in runs:
        chosen = run.chosen_epoch()
        last = run.epochs[-1]["epoch"] if run.epochs else None
        key = (configuration.name, str(run.path))
        at_chosen, at_end = _training_dice(run, chosen), _training_dice(run, last)
        cells = [decimal(at_chosen), decimal(at_end)]
        for name, epoch, value in (("chosen epoch", chosen, at_chosen), ("last epoch", last, at_end)):
            numbers.append(
                (*key, "metrics.jsonl", run.seed, "train", f"training mode, {name}", epoch, "dice", value)
            )
        for split in _SPLITS:
            for statistics in (MOVING, BATCH, REESTIMATED):
                found = measured(run, split, "dice").get(statistics)
                cells.append(NOT_MEASURED if found is None else decimal(found.value))
                for metric in ("dice", "sensitivity"):
                    score = measured(run, split, metric).get(statistics)
                    if score is not None:
                        numbers.append(
                            (*key, score.file, run.seed, split, statistics, chosen, metric, score.value)
                        )
        sensitivity = measured(run, "test", "sensitivity").get(MOVING)
        cells.append(NOT_MEASURED if sensitivity is None else decimal(sensitivity.value))
        shown.append((configuration.name, str(run.seed), *cells))
    return Table(
        part.file("batch_norm"),
        "Micro Dice of each run by the batch-norm statistics that were used; training mode: the epoch's own tiles with"
        " batch statistics, dropout and augmentation. But for the last epoch's, all are of the checkpoint that was"
        " scored.",
        (
            "configuration",
            "seed",
            "training mode, chosen epoch",
            "last epoch",
            *(
                f"{SPLIT_WORDS[split]}, {statistics}"
                for split in _SPLITS
                for statistics in (MOVING, BATCH, REESTIMATED)
            ),
            "sensitivity: test, moving",
        ),
        tuple(shown),
        Numbers(
            ("configuration", "run", "file", "seed", "split", "statistics", "epoch", "metric", "value"),
            tuple(numbers),
        ),
    )


def _kept(run: Run) -> str:
    return REESTIMATED if at(run.config, "eval", "reestimate_batch_norm") else MOVING


def _curves(run: Run) -> dict[str, list[tuple[int, float | None]]]:
    """By what they show: (epoch, micro Dice)."""
    return {
        "training mode": curve(run, "train", "dice"),
        f"validation, {_kept(run)} statistics": curve(run, "validation", "dice"),
        "validation, batch statistics": [
            (line["epoch"], at(line, "validation", "batch_statistics", "micro", "dice"))
            for line in run.epochs
        ],
    }


def _figure(part: Part, runs: Sequence[tuple[Configuration, Run]], sheet: str) -> Figure:
    numbers: tuple[tuple[Value, ...], ...] = tuple(
        (configuration.name, str(run.path), "metrics.jsonl", run.seed, name, epoch, value)
        for configuration, run in runs
        for name, points in _curves(run).items()
        for epoch, value in points
    )
    words = []
    for configuration, run in runs:
        ends = ", ".join(f"{name} {decimal(points[-1][1], 3)}" for name, points in _curves(run).items())
        words.append(f"{configuration.name}, seed {run.seed}: {ends}")
    return Figure(
        part.file(f"batch_norm{sheet}"),
        "Micro Dice over the epochs of each run that logged both: in training mode, and in validation with the"
        " statistics that are kept and with those of each batch. Both are of the same weights, so that a gap between"
        " the solid and the dashed line comes from the statistics.",
        "Micro Dice in the last epoch: " + "; ".join(words) + ".",
        chart(lambda figure: _draw(figure, runs), height_in=0.9 + 2.3 * panel_rows(len(runs))),
        Numbers(("configuration", "run", "file", "seed", "curve", "epoch", "micro_dice"), numbers),
    )


def _draw(figure: Chart, runs: Sequence[tuple[Configuration, Run]]) -> None:
    all_axes = panels(figure, len(runs))
    columns = min(2, len(runs))
    looks = ((BLUE, (0, (1, 1))), (VERMILLION, "-"), (GREEN, (0, (5, 2))))
    for axes, (configuration, run) in zip(all_axes, runs, strict=True):
        for (name, points), (color, dash) in zip(_curves(run).items(), looks, strict=True):
            values = [float("nan") if value is None else value for _, value in points]
            epochs = [epoch for epoch, _ in points]
            label = "validation, kept statistics" if _kept(run) in name else name
            axes.plot(epochs, values, color=color, linestyle=dash, label=label)
        title = f"{configuration.name}, seed {run.seed}"
        axes.set_title(wrapped(title, width_in=WIDTH_IN / columns - 0.7))
    for axes in all_axes[-columns:]:
        epoch_axis(axes)
    for axes in all_axes[::columns]:
        axes.set_ylabel("micro Dice")
    legend_below(figure, all_axes[0], columns=2)
