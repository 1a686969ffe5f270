"""The batch-norm gap of each run: what training sees, and what the statistics kept for evaluation make of it."""

from collections.abc import Mapping
from typing import NamedTuple

from nucseg_jax.reporting.page.chart import Chart, Panel, Point, Series
from nucseg_jax.reporting.page.document import Block, Cell, Csv, Figure, Gap, Paragraph, Table, Value
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import SPLIT_WORDS, listed, short
from nucseg_jax.reporting.sections.curves import curve
from nucseg_jax.reporting.sections.part import Part

MOVING, BATCH, REESTIMATED = "moving", "batch", "re-estimated"
_SPLITS = ("validation", "test")
_READING = (
    "A batch norm trains with the statistics of each batch and is evaluated with moving ones, which remember weights"
    " of many steps ago. Where weights still change fast (strong L2, few steps, momentum .99), training looks fine and"
    " evaluation collapses. Re-estimated statistics come from one pass over training tiles with the final weights;"
    " batch statistics are those of the evaluation batches: a diagnosis, no score."
)
_READING_OF_THE_PAPER = (
    " The paper's DeepLabV3+ EfficientNet-B4 has a Dice of .87 in training and .6419 in test: a gap of this kind might"
    " explain it, and nothing in the paper shows that it does."
)


class Source(NamedTuple):
    """A score and the file that holds it."""

    value: float | None
    file: str


# What stands beside the statistics that were chosen, in an entry of results.json.
_KEYS: Mapping[str, str] = {
    MOVING: "moving_statistics",
    BATCH: "batch_statistics",
    REESTIMATED: "reestimated_statistics",
}


def measured(run: Run, split: str, metric: str) -> dict[str, Source]:
    """Returns a run's micro score by the statistics that were used; what was not measured is missing."""
    sources = [("results.json", at(run.results, split), run.config)]
    sources += [(each.file, each.entry, each.about) for each in run.evaluations if each.split == split]
    found: dict[str, Source] = {}
    for file, entry, about in sources:
        if entry is None:
            continue
        chosen = REESTIMATED if at(about, "eval", "reestimate_batch_norm") else MOVING
        found.setdefault(chosen, Source(at(entry, "micro", metric), file))
        for name, key in _KEYS.items():
            if key in entry:
                found.setdefault(name, Source(at(entry, key, "micro", metric), file))
    return found


def batch_norm_blocks(part: Part) -> list[Block]:
    """Returns a table of all finished runs, and curves of those that logged both scores; nothing where none did."""
    pairs = [(each, run) for each in part.rows for run in each.runs]
    finished = [(each, run) for each, run in pairs if run.results is not None]
    logged = [
        (each, run)
        for each, run in pairs
        if any(at(line, "validation", "batch_statistics") for line in run.epochs)
    ]
    incomplete = [run for _, run in finished if {BATCH, REESTIMATED} - measured(run, "test", "dice").keys()]
    has_others = any(len(measured(run, split, "dice")) > 1 for _, run in finished for split in _SPLITS)
    if not (has_others or logged or part.is_paper):
        return []
    blocks: list[Block] = [Paragraph(_READING + (_READING_OF_THE_PAPER if part.is_paper else ""))]
    if finished:
        blocks.append(_table(part, finished))
    if incomplete:
        blocks.append(
            Gap(
                "Without scores by batch statistics or by re-estimated ones:"
                f" {listed([str(run.path) for run in incomplete])}. This command measures them in test.",
                next_command.evaluate(incomplete[0], "--config.eval.compare_statistics=end"),
            )
        )
    if logged:
        blocks.append(_figure(part, logged))
    with_both = [run for _, run in logged]
    without = [run for _, run in pairs if run.epochs and run not in with_both]
    if without:
        blocks.append(
            Gap(
                "By epoch, the score with batch statistics was not logged in"
                f" {listed([str(run.path) for run in without])}.",
                next_command.train_again(without[0], "--config.eval.compare_statistics=epochs"),
            )
        )
    return blocks


def _table(part: Part, runs: list[tuple[Configuration, Run]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    exact: list[tuple[Value, ...]] = []
    for configuration, run in runs:
        chosen = run.chosen_epoch()
        key = (configuration.name, str(run.path))
        training = dict(curve(run, "train", "dice"))
        epochs = {"chosen epoch": chosen, "last epoch": run.epochs[-1]["epoch"] if run.epochs else None}
        cells: list[Cell] = []
        for name, epoch in epochs.items():
            cells.append(None if epoch is None else training.get(epoch))
            where = ("metrics.jsonl", run.seed, "train", f"training mode, {name}", epoch)
            exact.append((*key, *where, "dice", cells[-1]))  # type: ignore[arg-type]
        for split in _SPLITS:
            for statistics in (MOVING, BATCH, REESTIMATED):
                for metric in ("dice", "sensitivity"):
                    score = measured(run, split, metric).get(statistics)
                    if metric == "dice":
                        cells.append("not measured" if score is None else score.value)
                    if score is not None:
                        exact.append(
                            (*key, score.file, run.seed, split, statistics, chosen, metric, score.value)
                        )
        rows.append((configuration.label, str(run.seed), *cells))
    return Table(
        part.file("batch_norm"),
        "Micro Dice of each run by the batch-norm statistics that were used; training mode: the epoch's tiles with"
        " batch statistics, dropout and augmentation. But for the last epoch's, all are of the scored checkpoint.",
        (
            *("configuration", "seed", "training mode, chosen epoch", "last epoch"),
            *(f"{SPLIT_WORDS[split]}, {each}" for split in _SPLITS for each in (MOVING, BATCH, REESTIMATED)),
        ),
        tuple(rows),
        Csv(
            ("configuration", "run", "file", "seed", "split", "statistics", "epoch", "metric", "value"),
            tuple(exact),
        ),
    )


def _curves(run: Run) -> dict[str, list[tuple[int, float | None]]]:
    kept = REESTIMATED if at(run.config, "eval", "reestimate_batch_norm") else MOVING
    return {
        "training mode": curve(run, "train", "dice"),
        f"validation, {kept} statistics": curve(run, "validation", "dice"),
        "validation, batch statistics": [
            (line["epoch"], at(line, "validation", "batch_statistics", "micro", "dice"))
            for line in run.epochs
        ],
    }


def _figure(part: Part, runs: list[tuple[Configuration, Run]]) -> Figure:
    panels, ends = [], []
    for configuration, run in runs:
        title = f"{configuration.label}, seed {run.seed}"
        curves = _curves(run)
        series = (
            Series(name, tuple(Point(*point) for point in points), look)
            for look, (name, points) in zip((2, 0, 1), curves.items(), strict=True)
        )
        panels.append(Panel(title, tuple(series)))
        ends.append(
            f"{title}: " + ", ".join(f"{name} {short(points[-1][1])}" for name, points in curves.items())
        )
    return Figure(
        part.file("batch_norm"),
        "Micro Dice over the epochs of each run that logged both. A gap between the two validation lines comes from the"
        " statistics alone: both are of the same weights.",
        f"Micro Dice in the last epoch: {'; '.join(ends)}.",
        Chart("epoch", "micro Dice", tuple(panels)),
    )
