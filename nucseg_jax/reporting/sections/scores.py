"""Test scores in every convention and with intervals, losses, and what needs no learning; scores.csv of all runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.bootstrap import MEASURES
from nucseg_jax.evaluation.scores import BASELINE_TITLES, METRICS, conventions, is_loss
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
from nucseg_jax.reporting.reading.configuration import Cohort, Configuration
from nucseg_jax.reporting.reading.instance_entry import instance_rows
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import OVER_RUNS, by_configuration, defined, metric_name, over_runs
from nucseg_jax.reporting.sections.comparison import LEVEL, SPLIT, Compared
from nucseg_jax.reporting.sections.part import Part

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
        yield from ((split, "", "", term, value) for term, value in entry.items() if is_loss(term))
        yield from ((split, *row) for row in instance_rows(entry, run.info))


def scores_blocks(part: Part) -> list[Block]:
    """Returns the tables of the test split; scores.csv has the others too."""
    names = conventions(part.cohort.info)
    noun = part.cohort.info.group_noun
    entries = [at(each.finished[0].results, SPLIT) for each in part.configurations]
    losses = dict.fromkeys(term for entry in entries for term in entry if is_loss(term))
    blocks: list[Block] = [
        _over_runs(
            part,
            "conventions",
            f"Test Dice in every convention, {OVER_RUNS}. `micro` pools the split; `image_zero`, `image_skip` and"
            " `image_one` average over patches and differ in what a patch without a nucleus counts; `batch8` pools"
            f" groups of 8; `{noun}` averages `image_skip` over {noun}s. Compare within a convention only.",
            {name: (name, "dice") for name in names},
        ),
        _over_runs(
            part,
            "metrics",
            f"All metrics of the test patches, counts pooled (`micro`), {OVER_RUNS}.",
            {metric_name(metric): ("micro", metric) for metric in METRICS},
        ),
        _over_runs(
            part,
            "losses",
            f"The loss and its terms on the test patches, {OVER_RUNS}.",
            {metric_name(term): (term,) for term in losses},
        ),
    ]
    if part.compared is not None:
        blocks += _intervals_tables(part, part.compared)
    baselines = part.baselines()
    rows = [
        (BASELINE_TITLES.get(name, name), *(at(entry, *measure) for measure in MEASURES))
        for name, entry in baselines.items()
    ]
    caption = "Scores of what needs no learning, on the same test patches. A model must beat them."
    if baselines:
        return [*blocks, Table(part.file("baselines"), caption, ("baseline", *_MEASURES), tuple(rows))]
    command = next_command.evaluate(part.configurations[0].finished[0], "--baselines")
    return [*blocks, Gap("Baselines (Otsu, all foreground) were not scored on these patches.", command)]


def _over_runs(part: Part, name: str, caption: str, columns: Mapping[str, tuple[str, ...]]) -> Table:
    """Returns a table with a column for each place in an entry of results.json."""

    def column(place: tuple[str, ...]) -> Callable[[Configuration], Cell]:
        return lambda each: over_runs([at(run.results, SPLIT, *place) for run in each.finished])

    cells = {header: column(place) for header, place in columns.items()}
    return by_configuration(part.file(name), caption, part.configurations, cells, SCORES)


_MEASURES = [f"{metric_name(metric)}, {convention}" for convention, metric in MEASURES]


def _intervals_tables(part: Part, compared: Compared) -> list[Block]:
    """Returns the scores of all measures with their intervals, and the differences to the reference."""
    scores: list[tuple[Cell, ...]] = []
    differences: list[tuple[Cell, ...]] = []
    exact: list[tuple[Value, ...]] = []
    exact_differences: list[tuple[Value, ...]] = []
    file = f"per_image_{SPLIT}.csv"
    reference = compared.configurations[compared.reference]
    for number, (each, runs) in enumerate(zip(compared.configurations, compared.runs, strict=True)):
        of_scores: list[Cell] = []
        of_differences: list[Cell] = []
        for place, measure in enumerate(MEASURES):
            about = (SPLIT, *measure)
            values = [run.score(*about) for run in runs]
            deviation = over_runs(values).deviation
            estimate, low, high = compared.score(number, place)
            difference = compared.difference(number, place)
            of_scores += [Spread(defined(estimate), deviation), Interval(low, high)]
            of_differences += [Difference(defined(difference[0])), Interval(*difference[1:], True)]
            for run, value in zip(runs, values, strict=True):
                source = (str(run.path), "results.json", run.seed)
                exact.append((each.name, each.label, *source, *about, value, None, None, None))
            summary = ("", f"{file} of these runs", "", *about, estimate, deviation, low, high)
            exact.append((each.name, each.label, *summary))
            if each is not reference:
                names = (each.name, reference.name, each.label, reference.label)
                exact_differences.append((*names, file, *about, *difference))
        scores.append((each.label, *of_scores))
        if each is not reference:
            differences.append((each.label, *of_differences))
    headers = ("configuration", *(header for name in _MEASURES for header in (name, f"{LEVEL} interval")))
    about_scores = ("split", "convention", "metric")
    first = (
        "configuration",
        "label",
        "run",
        "file",
        "seed",
        *about_scores,
        "value",
        "standard_deviation_over_runs",
    )
    second = ("first", "second", "label_of_first", "label_of_second", "file", *about_scores, "difference")
    captions = (
        f"Test scores, {OVER_RUNS}, and the interval of that mean over patches.",
        f"Differences to {reference.label}, with paired intervals. One that includes 0 leaves the order open.",
    )
    intervals = Csv((*first, "low", "high"), tuple(exact))
    blocks: list[Block] = [Table(part.file("intervals"), captions[0], headers, tuple(scores), intervals)]
    if differences:
        pairs = Csv((*second, "low", "high"), tuple(exact_differences))
        blocks.append(Table(part.file("differences"), captions[1], headers, tuple(differences), pairs))
    return blocks
