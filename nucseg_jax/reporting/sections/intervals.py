"""Means over seeds with their spread, intervals over patches, differences between configurations, baselines."""

from nucseg_jax.evaluation.bootstrap import MEASURES, RESAMPLES
from nucseg_jax.reporting.page.document import Block, Gap, Heading, Numbers, Paragraph, Table, Value
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.run import at
from nucseg_jax.reporting.sections.cells import (
    SUMMARY_COLUMNS,
    decimal,
    defined,
    interval,
    metric_name,
    sample_deviation,
    signed,
    with_deviation,
)
from nucseg_jax.reporting.sections.comparison import (
    BASELINE_NAMES,
    LEVEL,
    SPLIT,
    Baselines,
    Compared,
    compare,
    find_baselines,
    run_scores,
)
from nucseg_jax.reporting.sections.interval_figures import differences_figure, scores_figure
from nucseg_jax.reporting.sections.part import Part

_NOT_COVERED = (
    f"Intervals are {LEVEL} percentile bootstrap intervals from {RESAMPLES:,} resamples of the test patches,"
    " the same resamples for all configurations and all their runs, so that differences are paired. They say how the"
    " mean of the runs that were made would move with other patches. They do not cover that patches of one slide"
    " resemble each other, nor other seeds than those that were run (their spread is the ± beside the mean), and they"
    " are not adjusted for the number of comparisons."
)


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
    blocks += [scores_figure(part, compared, baselines), _scores_table(part, compared)]
    if compared.pairs:
        blocks += [differences_figure(part, compared), _differences_table(part, compared)]
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


def _measure_name(measure: tuple[str, str]) -> str:
    convention, metric = measure
    return f"{metric_name(metric)}, {convention}"


def _scores_table(part: Part, compared: Compared) -> Table:
    shown: list[tuple[str, ...]] = []
    numbers: list[tuple[Value, ...]] = []
    for number, (configuration, runs) in enumerate(zip(compared.configurations, compared.runs, strict=True)):
        cells, key = [], (configuration.name,)
        for place, measure in enumerate(MEASURES):
            estimate, low, high = (float(values[number, place]) for values in compared.scores)
            deviation = sample_deviation(run_scores(runs, measure))
            cells += [with_deviation(defined(estimate), deviation), interval(low, high)]
            numbers += [
                (*key, str(run.path), "results.json", run.seed, SPLIT, *measure, value, None, None, None)
                for run, value in zip(runs, run_scores(runs, measure), strict=True)
            ]
            source = ("", f"per_image_{SPLIT}.csv of these runs", "")
            summary = (defined(estimate), deviation, defined(low), defined(high))
            numbers.append((*key, *source, SPLIT, *measure, *summary))
        shown.append((configuration.name, str(len(runs)), *cells))
    headers = [header for measure in MEASURES for header in (_measure_name(measure), f"{LEVEL} interval")]
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
                *SUMMARY_COLUMNS,
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
    headers = [header for measure in MEASURES for header in (_measure_name(measure), f"{LEVEL} interval")]
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


def _baselines_table(part: Part, baselines: Baselines) -> Table:
    shown, numbers = [], []
    for name, (run, file, entry) in baselines.items():
        values = [at(entry, convention, metric) for convention, metric in MEASURES]
        shown.append((BASELINE_NAMES.get(name, name), *map(decimal, values)))
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
