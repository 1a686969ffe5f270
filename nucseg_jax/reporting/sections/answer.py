"""The first screen: which configuration is best in test, by how much, and how sure that is; for pixels and nuclei.

Dice answers for pixels, binary panoptic quality (bPQ) for nuclei. Nuclei come first where a model has an instance head.
"""

from collections.abc import Mapping

from nucseg_jax.evaluation.bootstrap import MEASURES, RESAMPLES, Intervals
from nucseg_jax.evaluation.instances.instance_bootstrap import AVERAGES
from nucseg_jax.evaluation.instances.instance_metrics import GROUP
from nucseg_jax.evaluation.instances.instance_metrics import METRICS as NUCLEUS_METRICS
from nucseg_jax.evaluation.instances.instance_scores import averages
from nucseg_jax.evaluation.scores import BASELINE_TITLES
from nucseg_jax.reporting.page.chart import Forest, Row
from nucseg_jax.reporting.page.document import (
    Block,
    Cell,
    Difference,
    Figure,
    Interval,
    Paragraph,
    Spread,
    Table,
)
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import defined, over_runs
from nucseg_jax.reporting.sections.comparison import LEVEL, MAIN, SPLIT, Compared
from nucseg_jax.reporting.sections.effects import effect_sentence, effects_table
from nucseg_jax.reporting.sections.nuclei_intervals import ComparedNuclei
from nucseg_jax.reporting.sections.part import Part
from nucseg_jax.reporting.sections.ranking import (
    Ranking,
    ranking_sentences,
    seeds_sentence,
    some,
    with_limits,
)

_MAIN = MEASURES[MAIN]
_BPQ = NUCLEUS_METRICS["bpq"].title
NOT_COVERED = (
    f"Intervals are {LEVEL} percentile bootstrap intervals from {RESAMPLES:,} resamples of the test patches, the same"
    " for all configurations, so that differences are paired. They cover the choice of patches; not that of seeds, nor"
    " that patches of one slide resemble each other, nor that many configurations are compared."
)


def answer_blocks(part: Part) -> list[Block]:
    """Returns the answer for pixels, and for nuclei where they were scored: a sentence, a table and a figure of each.

    The main effects stand with the pixels where the configurations form a grid.
    """
    pixels, nuclei = _pixels(part), _nuclei(part)
    has_head = any((at(run.config, "model", "head") or "none") != "none" for run in part.cohort.runs)
    blocks = [*nuclei, *pixels] if has_head else [*pixels, *nuclei]
    return [*blocks, Paragraph(NOT_COVERED)] if part.compared is not None else blocks


def _pixels(part: Part) -> list[Block]:
    compared = part.compared
    blocks: list[Block] = [Paragraph(answer(part), is_answer=True)]
    ranking = None if compared is None else _dice_ranking(compared)
    blocks.append(_dice_table(part, ranking))
    if compared is not None and ranking is not None:
        blocks.append(_dice_figure(part, ranking))
        if compared.effects:
            blocks.append(effects_table(part, compared.effects))
    return blocks


def _nuclei(part: Part) -> list[Block]:
    if part.nuclei is None:
        return []
    noun = part.cohort.info.group_noun
    ranking = _bpq_ranking(part.nuclei, noun)
    sentences = f"Nuclei: {ranking_sentences(ranking)} {seeds_sentence(ranking)}"
    rows: list[tuple[Cell, ...]] = []
    for place, (each, runs) in enumerate(ranking.runs.items()):
        rows.append(
            (each.label, *_score_cells(ranking, place), len(runs), *_difference_cells(ranking, place))
        )
    caption = (
        f"Test {_BPQ}, {NUCLEUS_METRICS['bpq'].meaning}: mean over the patches of a {noun} that have nuclei, then over"
        f" {noun}s; mean and standard deviation over runs, the interval of the mean, and the paired difference to the"
        f" {_to(ranking)}, which is shaded. Other averages and scores stand under Nuclei."
    )
    return [
        Paragraph(sentences, is_answer=True),
        Table(
            part.file("answer_nuclei"),
            caption,
            _headers(f"test {_BPQ}", ranking),
            tuple(rows),
            references=frozenset({ranking.reference}),
        ),
        _figure(part.file("answer_nuclei"), f"Test {_BPQ}", ranking, f"{_BPQ} in test"),
    ]


def answer(part: Part) -> str:
    """States the answer for pixels in plain words: an interval that includes 0, and a single seed, are named."""
    open_runs = [each.label for each in part.rows if not each.finished]
    unfinished = f" Without a finished run: {some(open_runs)}." if open_runs else ""
    if part.compared is None:
        if not part.configurations:
            return f"No run is finished: there is no test score yet.{unfinished}"
        return f"No run kept the counts of its test patches: scores have no intervals.{unfinished}"
    ranking = _dice_ranking(part.compared)
    effects = map(effect_sentence, part.compared.effects)
    text = " ".join([ranking_sentences(ranking), *effects, seeds_sentence(ranking)])
    return f"{'' if part.nuclei is None else 'Pixels: '}{text}{unfinished}"


def _dice(run: Run) -> float | None:
    return run.score(SPLIT, *_MAIN)


def _dice_ranking(compared: Compared) -> Ranking:
    scores, differences = (
        Intervals(*(values[:, MAIN] for values in intervals))
        for intervals in (compared.scores, compared.differences)
    )
    runs = dict(zip(compared.configurations, compared.runs, strict=True))
    return Ranking("test Dice", runs, compared.reference, compared.is_named, scores, differences, _dice)


def _bpq_ranking(compared: ComparedNuclei, noun: str) -> Ranking:
    column = AVERAGES.index(GROUP)

    def bpq(run: Run) -> float | None:
        return at(run.results, SPLIT, "instances", averages(run.info)[column], "bpq")

    scores, differences = (
        Intervals(*(values[:, column] for values in intervals))
        for intervals in (compared.scores, compared.differences)
    )
    measure = f"test {_BPQ} (mean over {noun}s)"
    return Ranking(measure, compared.runs, compared.reference, compared.is_named, scores, differences, bpq)


def _to(ranking: Ranking | None) -> str:
    return "baseline" if ranking is not None and ranking.is_named else "best"


def _headers(measure: str, ranking: Ranking | None) -> tuple[str, ...]:
    to = f"to the {_to(ranking)}"
    return ("configuration", measure, f"{LEVEL} interval", "runs", to, "interval of the difference")


def _score_cells(ranking: Ranking, place: int) -> tuple[Spread, Interval]:
    estimate, low, high = ranking.score(place)
    runs = list(ranking.runs.values())[place]
    return Spread(defined(estimate), over_runs(list(map(ranking.of_run, runs))).deviation), Interval(
        low, high
    )


def _difference_cells(ranking: Ranking, place: int) -> tuple[Cell, Cell]:
    """Returns the difference to the reference with its interval; nothing for the reference itself."""
    if place == ranking.reference:
        return None, None
    estimate, low, high = ranking.difference(place)
    return Difference(defined(estimate)), Interval(low, high, True)


def dice_cells(part: Part, configuration: Configuration) -> tuple[Spread, Interval | None]:
    """Returns the test micro Dice of a configuration and its interval, where there are counts."""
    ranking = None if part.compared is None else _dice_ranking(part.compared)
    if ranking is None or configuration not in ranking.runs:
        return over_runs([_dice(run) for run in configuration.finished]), None
    return _score_cells(ranking, list(ranking.runs).index(configuration))


def bpq_rows(part: Part) -> list[tuple[Configuration, Spread, Interval]]:
    """Returns the test bPQ, mean over groups, of each configuration with counts of nuclei, and its interval."""
    if part.nuclei is None:
        return []
    ranking = _bpq_ranking(part.nuclei, part.cohort.info.group_noun)
    return [(each, *_score_cells(ranking, place)) for place, each in enumerate(ranking.runs)]


def _dice_table(part: Part, ranking: Ranking | None) -> Table:
    """Returns a row for each configuration, those without intervals or a finished run too."""
    places = {} if ranking is None else {each: place for place, each in enumerate(ranking.runs)}
    rows: list[tuple[Cell, ...]] = []
    references = set()
    for each in part.rows:
        difference: tuple[Cell, Cell] = (None, None)
        if ranking is not None and each in places:
            difference = _difference_cells(ranking, places[each])
            if places[each] == ranking.reference:
                references.add(len(rows))
        finished, runs = len(each.finished), len(each.runs)
        number = finished if finished == runs else f"{finished} of {runs}"
        rows.append((each.label, *dice_cells(part, each), number, *difference))
    return Table(
        part.file("answer"),
        "Test Dice (`micro`: counts pooled over the split), mean and standard deviation over runs, the interval of the"
        f" mean, and the paired difference to the {_to(ranking)}, which is shaded.",
        _headers("test Dice", ranking),
        tuple(rows),
        references=frozenset(references),
    )


def _dice_figure(part: Part, ranking: Ranking) -> Figure:
    found = {BASELINE_TITLES.get(name, name): at(entry, *_MAIN) for name, entry in part.baselines().items()}
    lines = {name: value for name, value in found.items() if value is not None}
    return _figure(part.file("answer"), "Test Dice", ranking, "micro Dice in test", lines)


def _figure(
    name: str, measure: str, ranking: Ranking, axis: str, lines: Mapping[str, float] | None = None
) -> Figure:
    """Returns a chart of the configurations, with lines to compare them with."""
    rows = tuple(
        Row(each.label, ranking.score(place), tuple(map(ranking.of_run, runs)) if len(runs) > 1 else ())
        for place, (each, runs) in enumerate(ranking.runs.items())
    )
    said = "; ".join(f"{row.name} {with_limits(*row.interval)}" for row in rows)
    caption = f"{measure} with its {LEVEL} interval over patches; rings are single runs."
    return Figure(name, caption, f"{measure}: {said}.", Forest(axis, rows, lines or {}))
