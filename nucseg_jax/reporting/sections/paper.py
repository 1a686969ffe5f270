"""The paper's Tables 1 to 4 with its values beside ours, and the commands for models that were not run.

Only for the paper's models on the paper's data, or when asked for.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nucseg_jax.reporting.page.document import Block, Cell, Gap, Measured, Spread, Table
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import SCRATCH, Configuration, weights_name
from nucseg_jax.reporting.reading.paper import PAPER_MODELS, PaperModel
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import mean
from nucseg_jax.reporting.sections.part import Part

# The paper's columns, in its order, under its names.
_COLUMNS = {"loss": "loss", "accuracy": "Acc", "dice": "DCS", "sensitivity": "SN", "iou": "IoU"}
_HISTORY = {**_COLUMNS, "iou_two_class_mean": "IoU, two classes"}
# Behind the name of a model whose row holds the paper's values.
OF_THE_PAPER = ": paper"
_FACTS = ("parameters_total", "size_mb", "dropout", "l2")


def history(run: Run, split: str, metric: str) -> Spread:
    """Returns mean and standard deviation of a metric over the epochs of a run.

    In the convention nearest to Keras's running means over batches; training has only pooled counts.
    """
    names = (metric,) if metric == "loss" else ("micro" if split == "train" else "batch8", metric)
    values = [value for line in run.epochs if (value := at(line, split, *names)) is not None]
    return Spread(mean(values), statistics.pstdev(values) if values else None)


def batches_of_8(run: Run, split: str, metric: str) -> Spread:
    """Returns the mean over groups of eight patches and the standard deviation over them."""
    if metric == "loss":
        return Spread(at(run.results, split, "loss"), None)
    return Spread(run.score(split, "batch8", metric), run.score(split, "batch8", f"{metric}_std"))


class PaperTable(NamedTuple):
    """A table of scores: its split, columns and caption, and a run's value in it."""

    split: str
    columns: Mapping[str, str]
    measure: Callable[[Run, str, str], Spread]
    caption: str


TABLES = {
    "table_2": PaperTable(
        *("train", _HISTORY, history),
        "Table 2, training: mean ± standard deviation over the epochs (each epoch's pooled counts in training mode),"
        " means of both over runs. The paper's IoU above its Dice is impossible for one class.",
    ),
    "table_3": PaperTable(
        *("validation", _HISTORY, history),
        "Table 3, validation: the same (`batch8`: counts pooled per 8 patches, then averaged).",
    ),
    "table_4": PaperTable(
        *("test", _COLUMNS, batches_of_8),
        "Table 4, test: mean ± standard deviation over groups of 8 patches (`batch8`), means of both over runs. Loss is"
        " the mean Dice loss of the patches plus the L2 penalty. The paper tests on its own random 20 % of patches.",
    ),
}


def by_paper(part: Part) -> Iterator[tuple[PaperModel | None, list[Configuration]]]:
    """Yields the paper's models, each with the configurations that are it, then None with all others."""
    papers = PAPER_MODELS if part.is_paper else ()
    for paper in (*papers, None):
        yield paper, [each for each in part.configurations if (each.paper if papers else None) is paper]


def references(rows: Sequence[Sequence[Cell]]) -> frozenset[int]:
    """Returns the positions of the rows that hold the paper's values."""
    return frozenset(number for number, row in enumerate(rows) if str(row[0]).endswith(OF_THE_PAPER))


def paper_blocks(part: Part) -> list[Block]:
    """Returns the commands for what was not run, and Tables 2 to 4."""
    blocks: list[Block] = []
    for paper, configurations in by_paper(part):
        weights = {weights_name(run) for each in configurations for run in each.runs}
        if paper is None or (configurations and weights != {SCRATCH}):
            continue
        scratch = "has runs from scratch alone; the paper's is from ImageNet"
        what = scratch if configurations else "of the paper has no finished run here"
        commands = next_command.train_missing(paper, part.cohort.runs, part.paper_configs.get(paper.name))
        blocks.append(Gap(f"{paper.name} {what}.", commands))
    return [*blocks, *(_table(part, name, table) for name, table in TABLES.items())]


def _table(part: Part, name: str, table: PaperTable) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for paper, configurations in by_paper(part):
        if paper is not None:
            known = paper.known(table.split)
            # Two digits where our copy has no more.
            digits = 2 if len(known) == 1 else 4
            cells = (
                Measured(known[name], digits) if name in known else "not in our copy"
                for name in table.columns
            )
            rows.append((f"{paper.name}{OF_THE_PAPER}", "", *cells))
            if not configurations:
                rows.append((f"{paper.name}: ours", 0, *("not run" for _ in table.columns)))
        for configuration in configurations:
            runs = configuration.finished
            of_runs = ([table.measure(run, table.split, metric) for run in runs] for metric in table.columns)
            means = (
                Spread(mean([each.value for each in spreads]), mean([each.deviation for each in spreads]))
                for spreads in of_runs
            )
            rows.append((configuration.name, len(runs), *means))
    headers = ("model", "runs", *table.columns.values())
    return Table(part.file(name), table.caption, headers, tuple(rows), references=references(rows))


def table_1(facts: Sequence[Mapping[str, Any]]) -> Table:
    """Returns Table 1: what the models are, counted here, beside what the paper tells.

    Args:
      facts: one a network, as `describe --json` prints them, with a `name`, a `source` (the config they were
        computed from), and `is_paper`, whether it is the paper's network layer for layer.
    """
    papers = {(each.decoder, each.encoder): each for each in PAPER_MODELS}
    rows: list[tuple[Cell, ...]] = []
    for row in facts:
        paper = papers.get((row["decoder"], row["encoder"])) if row["is_paper"] else None
        told = (paper.parameters, paper.size_mb, paper.dropout, paper.l2) if paper else (None,) * len(_FACTS)
        pairs = zip(told, (row[field] for field in _FACTS), strict=True)
        cells = (Measured(each) if isinstance(each, float) else each for pair in pairs for each in pair)
        rows.append((row["name"], row["source"], *cells, Measured(row["flops_forward"] / 1e9, 1)))
    return Table(
        "table_1",
        "Table 1: parameters as Keras counts them, moving statistics included; 4 bytes each, in units of 2^20 bytes;"
        " arithmetic of the convolutions for one 256 px image, 2 operations a multiply-add.",
        (
            *("model", "config", "parameters, paper", "ours", "MB, paper", "ours", "dropout, paper", "ours"),
            *("L2, paper", "ours", "forward GFLOP"),
        ),
        tuple(rows),
    )
