"""Configurations by one measure of the test split, and the sentence that states which is best and how sure that is."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nucseg_jax.evaluation.bootstrap import Intervals
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.sections.cells import limits, listed, over_runs, short

_MOST_NAMED = 4


class Ranking(NamedTuple):
    """Configurations with intervals of one measure.

    Attributes:
      measure: as sentences name it: 'test Dice'.
      runs: those whose measure has an interval, by configuration, one or more.
      reference: position of the configuration that the others are compared with.
      is_named: whether the reader asked for it; else it is the best.
      scores, differences: [configurations]; differences are to the reference.
      of_run: the measure of a single run.
    """

    measure: str
    runs: Mapping[Configuration, tuple[Run, ...]]
    reference: int
    is_named: bool
    scores: Intervals
    differences: Intervals
    of_run: Callable[[Run], float | None]

    def score(self, position: int) -> tuple[float, float, float]:
        """Returns a configuration's score and its limits."""
        return limits(self.scores, position)

    def difference(self, position: int) -> tuple[float, float, float]:
        """Returns the difference of its score to the reference's, and its limits."""
        return limits(self.differences, position)

    def ranked(self) -> list[int]:
        """Returns positions by score, the best first, undefined ones last."""
        return np.argsort(-np.nan_to_num(self.scores.estimate, nan=-1.0), kind="stable").tolist()


def ranking_sentences(ranking: Ranking) -> str:
    """States who is best or, with a baseline, better than it; an interval that includes 0 is named."""
    labels = [each.label for each in ranking.runs]
    if len(labels) == 1:
        score = with_limits(*ranking.score(0))
        return f"{labels[0]} has a {ranking.measure} of {score}; there is no other to compare it with."
    return _against_baseline(ranking, labels) if ranking.is_named else _best(ranking, labels)


def seeds_sentence(ranking: Ranking) -> str:
    """States how far seeds move the measure, or that this is not known."""
    labels = [each.label for each in ranking.runs]
    single = [each.label for each, runs in ranking.runs.items() if len(runs) == 1]
    unknown = "how far another seed would move a score is not known"
    if len(single) == len(labels):
        return f"There is one seed only: {unknown}."
    spread = max(
        over_runs(list(map(ranking.of_run, runs))).deviation or 0.0 for runs in ranking.runs.values()
    )
    spreads = f"Seeds of one configuration differ by a standard deviation of up to {short(spread, 4)}"
    if not single:
        return f"{spreads}."
    named = listed(single) if len(single) < _MOST_NAMED else f"{len(single)} of {len(labels)} configurations"
    return f"{spreads}; {named} {'has' if len(single) == 1 else 'have'} one seed only."


def with_limits(estimate: float, low: float, high: float) -> str:
    """Returns a value with its limits in words.

    >>> with_limits(0.81234, 0.8, 0.82), with_limits(0.0021, 0.0017, 0.0024)
    ('0.812 [0.800, 0.820]', '0.0021 [0.0017, 0.0024]')
    """
    # A narrow interval needs its fourth digit: 0.002 [0.002, 0.002] tells nothing.
    digits = 3 if not high - low < 0.002 else 4
    return f"{short(estimate, digits)} [{short(low, digits)}, {short(high, digits)}]"


def is_open(low: float, high: float) -> bool:
    """Returns True if an interval includes 0 or is undefined."""
    return not (low > 0 or high < 0)


def some(labels: Sequence[str]) -> str:
    """Lists the first labels, and the number of those that are left out."""
    kept = list(labels[:_MOST_NAMED])
    return listed([*kept, f"{len(labels) - len(kept)} more"] if len(labels) > len(kept) else kept)


def _best(ranking: Ranking, labels: Sequence[str]) -> str:
    first, second, *_ = ranking.ranked()
    estimate, low, high = (-value for value in ranking.difference(second))
    lead = with_limits(estimate, high, low)
    unclear = [labels[each] for each in ranking.ranked()[1:] if is_open(*ranking.difference(each)[1:])]
    if not unclear:
        more = " and better than every other by more" if len(labels) > 2 else ""
        return f"{labels[first]} is better than {labels[second]} by {lead} in {ranking.measure}{more}."
    text = f"{labels[first]} has the highest {ranking.measure}, {with_limits(*ranking.score(first))}."
    if unclear[0] == labels[second]:
        text += f" Its lead over {labels[second]} is {lead}: the interval includes 0."
    text += f" These patches do not tell whether it is better than {some(unclear)}"
    clear = len(labels) - 1 - len(unclear)
    others = "the other" if clear == 1 else f"the other {clear}"
    return f"{text}; it is better than {others}." if clear else f"{text}."


def _against_baseline(ranking: Ranking, labels: Sequence[str]) -> str:
    groups: dict[str, list[str]] = {"better": [], "worse": [], "not told apart from it": []}
    for each in ranking.ranked():
        if each != ranking.reference:
            estimate, low, high = ranking.difference(each)
            kind = "not told apart from it" if is_open(low, high) else "better" if estimate > 0 else "worse"
            sign = "+" if estimate > 0 else ""
            groups[kind].append(f"{labels[each]} ({sign}{with_limits(estimate, low, high)})")
    told = "; ".join(f"{kind}: {some(names)}" for kind, names in groups.items() if names)
    score = with_limits(*ranking.score(ranking.reference))
    return f"Compared with {labels[ranking.reference]}, whose {ranking.measure} is {score}: {told}."
