"""Tables 2 to 4: loss, accuracy, Dice, sensitivity and IoU of training, validation and test."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nucseg_jax.core.counted import counted
from nucseg_jax.evaluation.scores import METRICS, conventions
from nucseg_jax.reporting.page.document import (
    NOT_IN_OUR_COPY,
    NOT_RUN,
    Block,
    Gap,
    Heading,
    Numbers,
    Table,
    Value,
)
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.paper import CITATION, PaperModel
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import (
    SPLIT_WORDS,
    decimal,
    mean,
    metric_name,
    over_runs,
    population_deviation,
    sample_deviation,
    with_deviation,
)
from nucseg_jax.reporting.sections.part import Part

# The paper's columns, in its order, under its names.
_COLUMNS = {"loss": "loss", "accuracy": "Acc", "dice": "DCS", "sensitivity": "SN", "iou": "IoU"}
# Behind the name of a model whose row holds the paper's values.
OF_THE_PAPER = ": paper"
_TWO_CLASS = "iou_two_class_mean"
_NUMBERS = (
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
# Validation is reported in the convention nearest to Keras's running means over batches; of training, whose
# counts are summed as the epoch goes, there is only the pooled one.
_HISTORY_CONVENTION = {"train": "micro", "validation": "batch8"}
_TABLES = {"train": 2, "validation": 3, "test": 4}


class Spread(NamedTuple):
    """A value and how it spreads: over epochs, or over groups of eight patches."""

    value: float | None
    deviation: float | None


_LOSS_COLUMNS = ("loss", "dice_loss", "l2_penalty")
# A run's value of a metric.
Measure = Callable[[Run, str], Spread]


def scores_blocks(part: Part) -> list[Block]:
    """Tables 2, 3 and 4, each in the paper's convention and in all others, and the losses' terms."""
    blocks: list[Block] = [Heading("Tables 2 to 4: scores", 3)]
    missing = [(paper, "of the paper has no finished run here") for paper in part.not_run]
    missing += [
        (paper, "has runs from scratch alone; the paper's is from ImageNet")
        for paper in part.from_scratch_alone
    ]
    for paper, what in missing:
        blocks.append(
            Gap(
                f"{paper.name} {what}.",
                next_command.train_missing(paper, part.cohort.runs, part.paper_configs.get(paper.name)),
            )
        )
    blocks += [_history_table(part, "train"), _history_table(part, "validation"), _test_table(part)]
    for split in ("test", "validation", "train"):
        blocks += _conventions_table(part, split)
    return [*blocks, *_losses_table(part)]


def history(run: Run, split: str, metric: str) -> Spread:
    """Mean and standard deviation of a metric over the epochs of a run."""
    convention = _HISTORY_CONVENTION[split]
    values = [
        at(line, split, metric) if metric == "loss" else at(line, split, convention, metric)
        for line in run.epochs
    ]
    return Spread(mean(values), population_deviation(values))


def batches_of_8(run: Run, metric: str) -> Spread:
    """The test split's mean over groups of eight patches and the standard deviation over them."""
    if metric == "loss":
        return Spread(at(run.results, "test", "loss"), None)
    return Spread(run.score("test", "batch8", metric), run.score("test", "batch8", f"{metric}_std"))


def _history_table(part: Part, split: str) -> Table:
    number = _TABLES[split]
    columns = [*_COLUMNS, _TWO_CLASS]
    pooled = "the epoch's pooled counts in training mode: batch statistics, dropout, augmented tiles"
    grouped = "`batch8`: counts pooled per 8 patches, then averaged, nearest to Keras's running means"
    rows, numbers = _rows_by_model(part, split, columns, lambda run, metric: history(run, split, metric))
    return Table(
        part.file(f"table_{number}"),
        f"Table {number}, {SPLIT_WORDS[split]}, by the paper's convention: mean ± standard deviation over the"
        f" epochs of the history ({pooled if split == 'train' else grouped}); with several runs, means of both"
        " over the runs. The paper's standard deviations of .9 and 1.7 for a loss show that its own run over"
        " epochs; its IoU above its Dice is impossible for one class and fits a mean over both. Unfinished"
        " runs are left out.",
        ("model", "runs", *_COLUMNS.values(), "IoU, two classes"),
        rows,
        numbers,
        references=references(rows),
    )


def _test_table(part: Part) -> Table:
    rows, numbers = _rows_by_model(part, "test", list(_COLUMNS), batches_of_8)
    return Table(
        part.file("table_4"),
        "Table 4, test, by the convention nearest to the paper's, `batch8`: counts pooled per 8 patches in the"
        " order of the split, mean ± standard deviation over these groups; with several runs, means of both"
        " over the runs. Loss is the mean Dice loss of the patches plus the L2 penalty. The paper tests on its"
        " own random 20 % of patches, which are other ones.",
        ("model", "runs", *_COLUMNS.values()),
        rows,
        numbers,
        references=references(rows),
    )


def _rows_by_model(
    part: Part, split: str, metrics: Sequence[str], measure: Measure
) -> tuple[tuple[tuple[str, ...], ...], Numbers]:
    """The paper's row of each of its models, ours below it, then the networks that the paper does not have."""
    shown: list[tuple[str, ...]] = []
    numbers: list[tuple[Value, ...]] = []
    table = f"{CITATION}, Table {_TABLES[split]}"
    for paper in (*_papers(part), None):
        if paper is not None:
            known = paper.known(split)
            shown.append((f"{paper.name}{OF_THE_PAPER}", "", *(_known(known, metric) for metric in metrics)))
            numbers += [
                (paper.name, "", table, "", split, "", metric, value, None) for metric, value in known.items()
            ]
            if paper in part.not_run:
                shown.append((f"{paper.name}: ours", "0", *(NOT_RUN for _ in metrics)))
        for configuration in part.cohort.scored:
            if configuration.paper is not paper:
                continue
            runs = configuration.finished
            cells = []
            for metric in metrics:
                spreads = [measure(run, metric) for run in runs]
                cells.append(
                    with_deviation(
                        mean([spread.value for spread in spreads]),
                        mean([spread.deviation for spread in spreads]),
                    )
                )
                file = "results.json" if split == "test" else "metrics.jsonl"
                convention = "batch8" if split == "test" else _HISTORY_CONVENTION[split]
                numbers += [
                    (
                        configuration.name,
                        str(run.path),
                        file,
                        run.seed,
                        split,
                        "" if metric == "loss" else convention,
                        metric,
                        *spread,
                    )
                    for run, spread in zip(runs, spreads, strict=True)
                ]
            shown.append((configuration.name, str(len(runs)), *cells))
    return tuple(shown), Numbers(_NUMBERS, tuple(numbers))


def references(rows: Sequence[Sequence[str]]) -> frozenset[int]:
    """Numbers of the rows that hold the paper's values."""
    return frozenset(number for number, row in enumerate(rows) if row[0].endswith(OF_THE_PAPER))


def _papers(part: Part) -> list[PaperModel]:
    present = {configuration.paper for configuration in part.cohort.scored}
    return [paper for paper in part.papers if paper in present or paper in part.not_run]


def _conventions_table(part: Part, split: str) -> list[Block]:
    shown: list[tuple[str, ...]] = []
    numbers: list[tuple[Value, ...]] = []
    metrics = [metric for metric in METRICS if metric != _TWO_CLASS] + [_TWO_CLASS]
    noun = part.cohort.info.group_noun
    names = conventions(part.cohort.info)
    for configuration in part.cohort.scored:
        for convention in names:
            values = {
                metric: [run.score(split, convention, metric) for run in configuration.finished]
                for metric in metrics
            }
            cells = (over_runs(values[metric]) for metric in metrics)
            shown.append((configuration.name if convention == names[0] else "", convention, *cells))
            numbers += _results_numbers(configuration, split, convention, values)
    if not shown:
        return []
    number = _TABLES[split]
    return [
        Table(
            part.file(f"table_{number}_conventions"),
            f"Table {number}, {SPLIT_WORDS[split]}, in every convention, of the checkpoint with the highest micro"
            " Dice in validation: mean over runs ± sample standard deviation over them (one run stands alone)."
            " `micro` pools the split; `image_zero`, `image_skip` and `image_one` average over patches and differ"
            f" in what a patch without a nucleus is worth; `batch8` pools groups of 8; `{noun}` averages"
            f" `image_skip` over {noun}s. Columns of one convention are comparable, rows of different ones are not.",
            ("configuration", "convention", *(metric_name(metric) for metric in metrics)),
            tuple(shown),
            Numbers(_NUMBERS, tuple(numbers)),
        )
    ]


def _losses_table(part: Part) -> list[Block]:
    shown: list[tuple[str, ...]] = []
    numbers: list[tuple[Value, ...]] = []
    others = sorted(
        {term for configuration in part.cohort.scored for term in _loss_terms(configuration, "test")}
        - set(_LOSS_COLUMNS)
    )
    columns = [*_LOSS_COLUMNS, *others]
    for configuration in part.cohort.scored:
        for split, word in SPLIT_WORDS.items():
            terms = _loss_terms(configuration, split)
            values = {
                term: [at(run.results, split, term) for run in configuration.finished] for term in terms
            }
            shown.append(
                (
                    configuration.name if split == "train" else "",
                    word,
                    *(over_runs(values.get(term, [])) for term in columns),
                )
            )
            numbers += _results_numbers(configuration, split, "", values)
    if not shown:
        return []
    return [
        Table(
            part.file("losses"),
            "The loss and its terms at the chosen checkpoint: mean over runs ± sample standard deviation. The paper"
            " prints one number; .3212 next to a Dice of .8356 suggests that the penalty is in it.",
            ("configuration", "split", *(metric_name(term) for term in columns)),
            tuple(shown),
            Numbers(_NUMBERS, tuple(numbers)),
        )
    ]


def _loss_terms(configuration: Configuration, split: str) -> list[str]:
    entry: Mapping[str, object] = at(configuration.finished[0].results, split)
    return [name for name in entry if name in ("loss", "l2_penalty") or name.endswith("_loss")]


def _results_numbers(
    configuration: Configuration, split: str, convention: str, values: Mapping[str, Sequence[float | None]]
) -> list[tuple[Value, ...]]:
    """Every run's value, and their mean and standard deviation."""
    rows: list[tuple[Value, ...]] = []
    for metric, of_runs in values.items():
        for run, value in zip(configuration.finished, of_runs, strict=True):
            key = (configuration.name, str(run.path), "results.json", run.seed)
            rows.append((*key, split, convention, metric, value, None))
        summary = (mean(of_runs), sample_deviation(of_runs))
        over = f"mean of {counted(len(of_runs), 'run')}"
        rows.append((configuration.name, "", over, "", split, convention, metric, *summary))
    return rows


def _known(known: Mapping[str, float], metric: str) -> str:
    """What is known of the paper; two digits where our copy has no more."""
    if metric not in known:
        return NOT_IN_OUR_COPY
    value = known[metric]
    return f"{value:.2f}" if round(value, 2) == value and len(known) == 1 else decimal(value)
