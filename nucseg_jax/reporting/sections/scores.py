"""Test scores in every convention with intervals, losses, and what needs no learning; scores.csv, all of all runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.bootstrap import MEASURES
from nucseg_jax.evaluation.scores import METRICS, conventions
from nucseg_jax.reporting.headline import BASELINE_TITLES
from nucseg_jax.reporting.page.document import (
    Block,
    Cell,
    Csv,
    Difference,
    Gap,
    Interval,
    Spread,
    Table,
    Value,
)
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import Cohort
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.answer import find_baselines
from nucseg_jax.reporting.sections.cells import defined, metric_name, over_runs
from nucseg_jax.reporting.sections.comparison import LEVEL, SPLIT, Compared
from nucseg_jax.reporting.sections.part import Part
from nucseg_jax.reporting.table import is_loss

SCORES = "scores.csv"


def scores_csv(cohorts: Sequence[Cohort]) -> Csv:
    """Returns every score and loss of every run's results.json, in long form."""
    rows = [
        (str(run.path), configuration.label, configuration.name, run.seed, *row)
        for cohort in cohorts
        for configuration in cohort.configurations
        for run in configuration.finished
        for row in _long(run)
    ]
    columns = ("run", "label", "configuration", "seed", "split", "class", "convention", "metric", "value")
    return Csv(columns, tuple(rows))


def _long(run: Run) -> Iterator[tuple[Value, ...]]:
    for split in SPLIT_NAMES:
        entry: Mapping[str, Any] = at(run.results, split) or {}
        for name, scores in [("nucleus", entry), *(at(entry, "classes") or {}).items()]:
            for convention in conventions(run.info):
                for metric, value in (at(scores, convention) or {}).items():
                    yield split, name, convention, metric, value
        for term, value in entry.items():
            if is_loss(term):
                yield split, "", "", term, value


def scores_blocks(part: Part) -> list[Block]:
    """Returns the tables of the test split; scores.csv has the others too."""
    blocks: list[Block] = [_conventions_table(part)]
    if part.compared is not None:
        blocks.append(_intervals_table(part, part.compared))
        if len(part.compared.configurations) > 1:
            blocks.append(_differences_table(part, part.compared))
    blocks.append(_losses_table(part))
    baselines = find_baselines(part)
    if baselines:
        rows = [
            (BASELINE_TITLES.get(name, name), *(at(entry, *measure) for measure in MEASURES))
            for name, entry in baselines.items()
        ]
        caption = "Scores of what needs no learning, on the same test patches. A model must beat them."
        headers = ("baseline", *map(_measure_name, MEASURES))
        blocks.append(Table(part.file("baselines"), caption, headers, tuple(rows)))
    else:
        command = next_command.evaluate(part.configurations[0].finished[0], "--baselines")
        blocks.append(Gap("Baselines (Otsu, all foreground) were not scored on these patches.", command))
    return blocks


def _conventions_table(part: Part) -> Table:
    noun = part.cohort.info.group_noun
    names = conventions(part.cohort.info)
    rows = [
        (
            each.label if convention == names[0] else "",
            convention,
            *(
                over_runs([run.score(SPLIT, convention, metric) for run in each.finished])
                for metric in METRICS
            ),
        )
        for each in part.configurations
        for convention in names
    ]
    return Table(
        part.file("conventions"),
        "Test scores in every convention, of the checkpoint with the highest micro Dice in validation: mean over runs ±"
        " sample standard deviation. `micro` pools the split; `image_zero`, `image_skip` and `image_one` average over"
        f" patches and differ in what a patch without a nucleus counts; `batch8` pools groups of 8; `{noun}` averages"
        f" `image_skip` over {noun}s. Compare within a convention only.",
        ("configuration", "convention", *map(metric_name, METRICS)),
        tuple(rows),
        source=SCORES,
    )


def _measure_name(measure: tuple[str, str]) -> str:
    convention, metric = measure
    return f"{metric_name(metric)}, {convention}"


_INTERVAL_HEADERS = tuple(
    header for measure in MEASURES for header in (_measure_name(measure), f"{LEVEL} interval")
)


def _intervals_table(part: Part, compared: Compared) -> Table:
    rows: list[tuple[Cell, ...]] = []
    exact: list[tuple[Value, ...]] = []
    for number, (configuration, runs) in enumerate(zip(compared.configurations, compared.runs, strict=True)):
        cells: list[Cell] = []
        key = (configuration.name, configuration.label)
        for place, measure in enumerate(MEASURES):
            estimate, low, high = (float(values[number, place]) for values in compared.scores)
            values = [run.score(SPLIT, *measure) for run in runs]
            deviation = over_runs(values).deviation
            cells += [Spread(defined(estimate), deviation), Interval(low, high)]
            exact += [
                (*key, str(run.path), "results.json", run.seed, SPLIT, *measure, value, None, None, None)
                for run, value in zip(runs, values, strict=True)
            ]
            source = ("", f"per_image_{SPLIT}.csv of these runs", "")
            exact.append((*key, *source, SPLIT, *measure, estimate, deviation, low, high))
        rows.append((configuration.label, len(runs), *cells))
    columns = ("configuration", "label", "run", "file", "seed", "split", "convention", "metric")
    return Table(
        part.file("intervals"),
        "Test scores, mean over runs ± sample standard deviation, and the interval of that mean over patches.",
        ("configuration", "runs", *_INTERVAL_HEADERS),
        tuple(rows),
        Csv((*columns, "value", "standard_deviation_over_runs", "low", "high"), tuple(exact)),
    )


def _differences_table(part: Part, compared: Compared) -> Table:
    rows: list[tuple[Cell, ...]] = []
    exact: list[tuple[Value, ...]] = []
    reference = compared.configurations[compared.reference]
    for number, configuration in enumerate(compared.configurations):
        if number == compared.reference:
            continue
        cells: list[Cell] = []
        for place, measure in enumerate(MEASURES):
            estimate, low, high = (float(values[number, place]) for values in compared.differences)
            cells += [Difference(defined(estimate)), Interval(low, high, True)]
            names = (configuration.name, reference.name, configuration.label, reference.label)
            exact.append((*names, f"per_image_{SPLIT}.csv", SPLIT, *measure, estimate, low, high))
        rows.append((configuration.label, *cells))
    columns = (
        "first",
        "second",
        "label_of_first",
        "label_of_second",
        "file",
        "split",
        "convention",
        "metric",
    )
    return Table(
        part.file("differences"),
        f"Differences in test scores to {reference.label}, with paired intervals. One that includes 0 leaves open which"
        " is better.",
        ("configuration", *_INTERVAL_HEADERS),
        tuple(rows),
        Csv((*columns, "difference", "low", "high"), tuple(exact)),
    )


def _losses_table(part: Part) -> Table:
    terms = dict.fromkeys(
        term for each in part.configurations for term in at(each.finished[0].results, SPLIT) if is_loss(term)
    )
    rows = [
        (each.label, *(over_runs([at(run.results, SPLIT, term) for run in each.finished]) for term in terms))
        for each in part.configurations
    ]
    return Table(
        part.file("losses"),
        "The loss and its terms on the test patches, at the chosen checkpoint: mean over runs ± sample standard"
        " deviation.",
        ("configuration", *map(metric_name, terms)),
        tuple(rows),
        source=SCORES,
    )
