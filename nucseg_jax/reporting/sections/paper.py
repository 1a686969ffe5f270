"""The paper's Tables 1 to 4 with its values beside ours, and the commands for models that were not run.

Only for the paper's models on the paper's data, or when asked for.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nucseg_jax.reporting.page.document import Block, Cell, Csv, Gap, Measured, Spread, Table, Value
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.paper import CITATION, PAPER_MODELS, PaperModel
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import SPLIT_WORDS, mean
from nucseg_jax.reporting.sections.part import Part

# The paper's columns, in its order, under its names.
_COLUMNS = {"loss": "loss", "accuracy": "Acc", "dice": "DCS", "sensitivity": "SN", "iou": "IoU"}
_TWO_CLASS = {"iou_two_class_mean": "IoU, two classes"}
# Behind the name of a model whose row holds the paper's values.
OF_THE_PAPER = ": paper"
# The convention nearest to Keras's running means over batches; training has only pooled counts.
_CONVENTION = {"train": "micro", "validation": "batch8", "test": "batch8"}
_TABLES = {"train": 2, "validation": 3, "test": 4}
_FACTS = ("parameters_total", "size_mb", "dropout", "l2")


def by_paper(part: Part) -> Iterator[tuple[PaperModel | None, list[Configuration]]]:
    """Yields the paper's models, each with the configurations that are it, then None with all others."""
    for paper in (*(PAPER_MODELS if part.is_paper else ()), None):
        papers = PAPER_MODELS if part.is_paper else ()
        yield (
            paper,
            [each for each in part.configurations if (each.paper if each.paper in papers else None) is paper],
        )


def references(rows: Sequence[Sequence[Cell]]) -> frozenset[int]:
    """Returns the positions of the rows that hold the paper's values."""
    return frozenset(number for number, row in enumerate(rows) if str(row[0]).endswith(OF_THE_PAPER))


def paper_blocks(part: Part) -> list[Block]:
    """Returns the commands for what was not run, and Tables 2 to 4."""
    missing = [(paper, "of the paper has no finished run here") for paper in part.not_run]
    missing += [
        (paper, "has runs from scratch alone; the paper's is from ImageNet")
        for paper in part.from_scratch_alone
    ]
    blocks: list[Block] = [
        Gap(
            f"{paper.name} {what}.",
            next_command.train_missing(paper, part.cohort.runs, part.paper_configs.get(paper.name)),
        )
        for paper, what in missing
    ]
    pooled = "the epoch's pooled counts in training mode"
    grouped = "`batch8`: counts pooled per 8 patches, then averaged"
    for split, how in (("train", pooled), ("validation", grouped)):
        caption = (
            f"Table {_TABLES[split]}, {SPLIT_WORDS[split]}, by the paper's convention: mean ± standard deviation over"
            f" the epochs ({how}), means of both over runs. The paper's IoU above its Dice is impossible for one class"
            " and fits a mean over both."
        )
        blocks.append(_table(part, split, {**_COLUMNS, **_TWO_CLASS}, caption, history))
    caption = (
        "Table 4, test, by the convention nearest to the paper's, `batch8`: mean ± standard deviation over groups of 8"
        " patches, means of both over runs. Loss is the mean Dice loss of the patches plus the L2 penalty. The paper"
        " tests on its own random 20 % of patches, which are other ones."
    )
    return [*blocks, _table(part, "test", _COLUMNS, caption, batches_of_8)]


def history(run: Run, split: str, metric: str) -> Spread:
    """Returns mean and standard deviation of a metric over the epochs of a run."""
    names = (metric,) if metric == "loss" else (_CONVENTION[split], metric)
    values = [value for line in run.epochs if (value := at(line, split, *names)) is not None]
    return Spread(mean(values), statistics.pstdev(values) if values else None)


def batches_of_8(run: Run, split: str, metric: str) -> Spread:
    """Returns the mean over groups of eight patches and the standard deviation over them."""
    if metric == "loss":
        return Spread(at(run.results, split, "loss"), None)
    return Spread(run.score(split, "batch8", metric), run.score(split, "batch8", f"{metric}_std"))


def _table(
    part: Part,
    split: str,
    columns: Mapping[str, str],
    caption: str,
    measure: Callable[[Run, str, str], Spread],
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    exact: list[tuple[Value, ...]] = []
    file = "results.json" if split == "test" else "metrics.jsonl"
    for paper, configurations in by_paper(part):
        if paper is not None:
            known = paper.known(split)
            # Two digits where our copy has no more.
            cells = (
                Measured(known[metric], 2 if len(known) == 1 else 4) if metric in known else "not in our copy"
                for metric in columns
            )
            rows.append((f"{paper.name}{OF_THE_PAPER}", "", *cells))
            source = f"{CITATION}, Table {_TABLES[split]}"
            exact += [
                (paper.name, "", source, "", split, "", metric, value, None)
                for metric, value in known.items()
            ]
            if not configurations:
                rows.append((f"{paper.name}: ours", 0, *("not run" for _ in columns)))
        for configuration in configurations:
            runs = configuration.finished
            of_runs = {metric: [measure(run, split, metric) for run in runs] for metric in columns}
            means = (
                Spread(mean([each.value for each in spreads]), mean([each.deviation for each in spreads]))
                for spreads in of_runs.values()
            )
            rows.append((configuration.name, len(runs), *means))
            exact += [
                (
                    configuration.name,
                    str(run.path),
                    file,
                    run.seed,
                    split,
                    _convention(split, metric),
                    metric,
                    *spread,
                )
                for metric, spreads in of_runs.items()
                for run, spread in zip(runs, spreads, strict=True)
            ]
    names = (
        "configuration",
        "run",
        "file",
        "seed",
        "split",
        "convention",
        "metric",
        "value",
        "standard_deviation",
    )
    return Table(
        part.file(f"table_{_TABLES[split]}"),
        caption,
        ("model", "runs", *columns.values()),
        tuple(rows),
        Csv(names, tuple(exact)),
        references=references(rows),
    )


def _convention(split: str, metric: str) -> str:
    return "" if metric == "loss" else _CONVENTION[split]


def table_1(facts: Sequence[Mapping[str, Any]]) -> Table:
    """Returns Table 1: what the models are, counted here, beside what the paper tells.

    Args:
      facts: one a network, as `describe --json` prints them, with a `name`, a `source` (the config they were
        computed from), that `config` itself, and `is_paper`, whether it is the paper's network layer for layer.
    """
    rows: list[tuple[Cell, ...]] = []
    exact: list[tuple[Value, ...]] = []
    for row in facts:
        names = (row["decoder"], row["encoder"])
        paper = next(
            (each for each in PAPER_MODELS if row["is_paper"] and (each.decoder, each.encoder) == names), None
        )
        told = (paper.parameters, paper.size_mb, paper.dropout, paper.l2) if paper else (None,) * len(_FACTS)
        cells: list[Cell] = []
        for field, value in zip(_FACTS, told, strict=True):
            for each in (value, row[field]):
                cells.append(Measured(each, 2) if isinstance(each, float) else each)
            exact.append((row["name"], row["source"], "describe", field, row[field]))
            if paper:
                exact.append((row["name"], f"{CITATION}, Table 1", "paper", field, value))
        exact.append((row["name"], row["source"], "describe", "flops_forward", row["flops_forward"]))
        rows.append((row["name"], *cells, Measured(row["flops_forward"] / 1e9, 1)))
    return Table(
        "table_1",
        "Table 1: parameters as Keras counts them, moving statistics included; 4 bytes each, in units of 2^20 bytes;"
        " arithmetic of the convolutions for one 256 px image, 2 operations a multiply-add.",
        (
            "model",
            *(
                "parameters, paper",
                "ours",
                "MB, paper",
                "ours",
                "dropout, paper",
                "ours",
                "L2, paper",
                "ours",
            ),
            "forward GFLOP",
        ),
        tuple(rows),
        Csv(("model", "source", "by", "field", "value"), tuple(exact)),
    )
