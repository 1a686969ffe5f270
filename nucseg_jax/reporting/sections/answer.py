"""The first screen: which configuration is best in test Dice, by how much, and how sure that is."""

from collections.abc import Sequence

from nucseg_jax.core.counted import counted
from nucseg_jax.evaluation.bootstrap import MEASURES, RESAMPLES
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
from nucseg_jax.reporting.sections.cells import defined, listed, over_runs, short
from nucseg_jax.reporting.sections.comparison import LEVEL, MAIN, SPLIT, Compared, Effect, limits
from nucseg_jax.reporting.sections.part import Part

_MOST_NAMED = 4
_MAIN = MEASURES[MAIN]
NOT_COVERED = (
    f"Intervals are {LEVEL} percentile bootstrap intervals from {RESAMPLES:,} resamples of the test patches, the same"
    " for all configurations, so that differences are paired. They cover the choice of patches; not that of seeds, nor"
    " that patches of one slide resemble each other, nor that many configurations are compared."
)


def answer_blocks(part: Part) -> list[Block]:
    """Returns the sentence, the table, the figure, and the main effects where the configurations form a grid."""
    blocks: list[Block] = [Paragraph(answer(part), is_answer=True), _table(part)]
    if part.compared is not None:
        blocks.append(_figure(part, part.compared))
        if part.compared.effects:
            blocks.append(_effects_table(part, part.compared.effects))
        blocks.append(Paragraph(NOT_COVERED))
    return blocks


def answer(part: Part) -> str:
    """States the answer in plain words: an interval that includes 0, and a single seed, are named."""
    open_runs = [each.label for each in part.rows if not each.finished]
    unfinished = f" Without a finished run: {_some(open_runs)}." if open_runs else ""
    if part.compared is None:
        if not part.configurations:
            return f"No run is finished: there is no test score yet.{unfinished}"
        return f"No run kept the counts of its test patches: scores have no intervals.{unfinished}"
    compared = part.compared
    labels = [each.label for each in compared.configurations]
    if len(labels) == 1:
        dice = _with_limits(*compared.score(0))
        text = f"{labels[0]} has a test Dice of {dice}; there is no other to compare it with."
    elif compared.is_named:
        text = _against_baseline(compared, labels)
    else:
        text = _best(compared, labels)
    effects = "".join(map(_effect_sentence, compared.effects))
    return f"{text}{effects}{_seeds(compared, labels)}{unfinished}"


def _with_limits(estimate: float, low: float, high: float) -> str:
    # A narrow interval needs its fourth digit: 0.002 [0.002, 0.002] tells nothing.
    digits = 3 if not high - low < 0.002 else 4
    return f"{short(estimate, digits)} [{short(low, digits)}, {short(high, digits)}]"


def _is_open(low: float, high: float) -> bool:
    """Returns True if an interval includes 0 or is undefined."""
    return not (low > 0 or high < 0)


def _some(labels: Sequence[str]) -> str:
    kept = list(labels[:_MOST_NAMED])
    return listed([*kept, f"{len(labels) - len(kept)} more"] if len(labels) > len(kept) else kept)


def _best(compared: Compared, labels: Sequence[str]) -> str:
    first, second, *_ = compared.ranked()
    estimate, low, high = (-value for value in compared.difference(second))
    lead = _with_limits(estimate, high, low)
    unclear = [labels[each] for each in compared.ranked()[1:] if _is_open(*compared.difference(each)[1:])]
    if not unclear:
        more = " and better than every other by more" if len(labels) > 2 else ""
        return f"{labels[first]} is better than {labels[second]} by {lead} in test Dice{more}."
    text = f"{labels[first]} has the highest test Dice, {_with_limits(*compared.score(first))}."
    if unclear[0] == labels[second]:
        text += f" Its lead over {labels[second]} is {lead}: the interval includes 0."
    text += f" These patches do not tell whether it is better than {_some(unclear)}"
    clear = len(labels) - 1 - len(unclear)
    others = "the other" if clear == 1 else f"the other {clear}"
    return f"{text}; it is better than {others}." if clear else f"{text}."


def _against_baseline(compared: Compared, labels: Sequence[str]) -> str:
    groups: dict[str, list[str]] = {"better": [], "worse": [], "not told apart from it": []}
    for each in compared.ranked():
        if each != compared.reference:
            estimate, low, high = compared.difference(each)
            kind = "not told apart from it" if _is_open(low, high) else "better" if estimate > 0 else "worse"
            sign = "+" if estimate > 0 else ""
            groups[kind].append(f"{labels[each]} ({sign}{_with_limits(estimate, low, high)})")
    told = "; ".join(f"{kind}: {_some(names)}" for kind, names in groups.items() if names)
    dice = _with_limits(*compared.score(compared.reference))
    return f"Compared with {labels[compared.reference]}, whose test Dice is {dice}: {told}."


def _effect_sentence(effect: Effect) -> str:
    names = list(effect.factor.levels)
    others = [place for place in range(len(names)) if place != effect.best]
    second = max(others, key=lambda place: effect.scores.estimate[place])
    estimate, low, high = (float(-values[second]) for values in effect.differences)
    is_open = " (includes 0)" if _is_open(low, high) else ""
    better, worse, lead = names[effect.best], names[second], (estimate, high, low)
    if estimate < 0:
        better, worse, lead = worse, better, (-estimate, -low, -high)
    return f" Averaged over the grid, {better} is better than {worse} by {_with_limits(*lead)}{is_open}."


def _seeds(compared: Compared, labels: Sequence[str]) -> str:
    single = [label for label, runs in zip(labels, compared.runs, strict=True) if len(runs) == 1]
    unknown = "how far another seed would move a score is not known"
    if len(single) == len(labels):
        return f" There is one seed only: {unknown}."
    spread = max(over_runs(list(map(_dice, runs))).deviation or 0.0 for runs in compared.runs)
    spreads = f" Seeds of one configuration differ by a standard deviation of up to {short(spread, 4)}"
    if not single:
        return f"{spreads}."
    named = listed(single) if len(single) < _MOST_NAMED else f"{len(single)} of {len(labels)} configurations"
    return f"{spreads}; {named} {'has' if len(single) == 1 else 'have'} one seed only."


def _dice(run: Run) -> float | None:
    return run.score(SPLIT, *_MAIN)


def dice_cells(part: Part, configuration: Configuration) -> tuple[Spread, Interval | None]:
    """Returns the test micro Dice of a configuration and its interval, where there are counts."""
    compared = part.compared
    if compared is None or configuration not in compared.configurations:
        return over_runs([_dice(run) for run in configuration.finished]), None
    place = compared.configurations.index(configuration)
    estimate, low, high = compared.score(place)
    deviation = over_runs([_dice(run) for run in compared.runs[place]]).deviation
    return Spread(defined(estimate), deviation), Interval(low, high)


def _table(part: Part) -> Table:
    compared = part.compared
    rows: list[tuple[Cell, ...]] = []
    references = set()
    for each in part.rows:
        dice, limits = dice_cells(part, each)
        difference: tuple[Cell, Cell] = (None, None)
        if compared is not None and each in compared.configurations:
            place = compared.configurations.index(each)
            estimate, low, high = compared.difference(place)
            if place == compared.reference:
                references.add(len(rows))
            else:
                difference = Difference(defined(estimate)), Interval(low, high, True)
        finished, runs = len(each.finished), len(each.runs)
        number = finished if finished == runs else f"{finished} of {runs}"
        rows.append((each.label, dice, limits, number, *difference))
    to = "baseline" if compared is not None and compared.is_named else "best"
    return Table(
        part.file("answer"),
        "Test Dice (`micro`: counts pooled over the split), mean and standard deviation over runs, the interval of the"
        f" mean, and the paired difference to the {to}, which is shaded.",
        (
            "configuration",
            "test Dice",
            f"{LEVEL} interval",
            "runs",
            f"to the {to}",
            "interval of the difference",
        ),
        tuple(rows),
        references=frozenset(references),
    )


def _figure(part: Part, compared: Compared) -> Figure:
    rows = [
        Row(each.label, compared.score(place), tuple(map(_dice, runs)) if len(runs) > 1 else ())
        for place, (each, runs) in enumerate(zip(compared.configurations, compared.runs, strict=True))
    ]
    found = {
        BASELINE_TITLES.get(name, name): at(entry, *_MAIN) for name, entry in find_baselines(part).items()
    }
    lines = {name: value for name, value in found.items() if value is not None}
    said = (f"{row.name} {_with_limits(*row.interval)}" for row in rows)
    caption = f"Test Dice with its {LEVEL} interval over patches; rings are single runs."
    chart = Forest("micro Dice in test", tuple(rows), lines)
    return Figure(part.file("answer"), caption, f"Test Dice: {'; '.join(said)}.", chart)


def _effects_table(part: Part, effects: Sequence[Effect]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    references = set()
    for effect in effects:
        name, *together = effect.factor.fields
        for place, (level, members) in enumerate(effect.factor.levels.items()):
            field = f"{name} (with {listed(together)})" if together else name
            score, low, high = limits(effect.scores, place)
            difference, below, above = limits(effect.differences, place)
            if place == effect.best:
                references.add(len(rows))
                to_best: tuple[Cell, Cell] = (None, None)
            else:
                to_best = Difference(defined(difference)), Interval(below, above, True)
            count = counted(len(members), "configuration")
            rows.append((field, level, count, defined(score), Interval(low, high), *to_best))
    return Table(
        part.file("effects"),
        "Main effects: the configurations form a grid, every combination of these fields once. Test Dice is the mean"
        " over the configurations that share the value, and the difference is paired, to the shaded value of the same"
        " field.",
        (
            "field",
            "value",
            "mean of",
            "test Dice",
            f"{LEVEL} interval",
            "difference",
            "interval of the difference",
        ),
        tuple(rows),
        references=frozenset(references),
    )


def find_baselines(part: Part) -> dict[str, object]:
    """Returns the scores of what needs no learning, as `evaluate --baselines` left them; the first of each."""
    evaluations = [each for run in part.cohort.runs for each in run.evaluations if each.split == SPLIT]
    found: dict[str, object] = {}
    for evaluation in evaluations:
        found = {**evaluation.baselines, **found}
    return found
