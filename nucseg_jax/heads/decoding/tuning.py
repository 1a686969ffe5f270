"""Chooses what counts as a nucleus on a validation split: threshold, depth of a pass and smallest size."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.in_processes import map_in_processes

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
# (truth, prediction), instance maps int [h, w], to a score, higher is better; NaN or None where it is undefined.
Score = Callable[[np.ndarray, np.ndarray], float | None]
ScoredPatch = tuple[np.ndarray, np.ndarray | None, np.ndarray]


class GridPoint(NamedTuple):
    """A rule and its score on the split.

    Attributes:
      rule: the rule.
      score: mean over the patches that have a score; NaN if none has.
      patches: how many have one.
    """

    rule: NucleusRule
    score: float
    patches: int


class Tuned(NamedTuple):
    """The best rule, and all that were tried, the given rule first.

    Attributes:
      rule: the best; of equals the one that was tried first, which is the nearest to the given rule.
      table: every rule that was tried.
    """

    rule: NucleusRule
    table: list[GridPoint]

    def rows(self) -> list[dict[str, Any]]:
        """Returns the table as plain values.

        Each row has the threshold, the head whose maps part nuclei, that decoder's tuned parameter, smallest_um2, score
        and patches.
        """
        return [
            {
                "threshold": point.rule.threshold,
                "head": point.rule.parting.head,
                point.rule.parting.tuned: getattr(point.rule.parting, point.rule.parting.tuned),
                "smallest_um2": point.rule.smallest_um2,
                "score": None if math.isnan(point.score) else point.score,
                "patches": point.patches,
            }
            for point in self.table
        ]


def tune(
    patches: Iterable[ScoredPatch],
    rule: NucleusRule,
    score: Score,
    *,
    microns_per_px: float,
    thresholds: Sequence[float] = THRESHOLDS,
    values: Sequence[float] | None = None,
    smallest_um2: Sequence[float] = (),
    others: Sequence[NucleusRule] = (),
    workers: int = 1,
) -> Tuned:
    """Finds the rule with the best mean score over the patches of a validation split.

    One axis after the other: first the thresholds, with `others` beside the given decoder; then the decoder's own
    parameter at its best threshold. Each with all sizes. The same patches give the same rule, whatever the number of
    workers.

    Args:
      patches: of each the probability, uint8 [h, w] in 255ths, the maps, int8 [h, w, M] or None, and the truth, an
        instance map int [h, w]; held together. Probabilities are a 255th off at most, and exact at the threshold for
        which they were rounded (`ops.levels.levels`).
      rule: the default, which is always tried.
      score: for a patch, such as its binary panoptic quality; of a module if there are several workers.
      microns_per_px: of all patches.
      thresholds: of the probability.
      values: of `rule.parting.tuned`; its `grid` if None.
      smallest_um2: sizes below which nuclei are dropped; those of `rule` alone if empty.
      others: rules of other decoders, tried at each threshold and size.
      workers: processes; see `map_in_processes`.

    Raises:
      UserError: no patch has a score, a value is out of its range, or the rule needs other maps.
    """
    held = list(patches)

    def scored(rules: list[NucleusRule]) -> list[GridPoint]:
        of_a_patch = functools.partial(_scores, rules=rules, score=score, microns_per_px=microns_per_px)
        of_patches = list(map_in_processes(of_a_patch, held, workers=workers))
        return [_mean(tried, [of_patch[at] for of_patch in of_patches]) for at, tried in enumerate(rules)]

    own = _grid(rule, thresholds, (), smallest_um2)
    table = scored(own + [each for other in others for each in _grid(other, thresholds, (), smallest_um2)])
    best = _best(table[: len(own)]).rule
    tried = {point.rule for point in table}
    grid = _grid(best, (), rule.parting.grid if values is None else values, smallest_um2)
    table += scored([each for each in grid if each not in tried])
    if not any(point.patches for point in table):
        raise UserError(
            "no patch of the validation split has a score, so that no rule can be chosen",
            expected="one patch with nuclei or more",
        )
    return Tuned(_best(table).rule, table)


def _mean(rule: NucleusRule, scores: Sequence[float]) -> GridPoint:
    defined = [each for each in scores if not math.isnan(each)]
    return GridPoint(rule, math.fsum(defined) / len(defined) if defined else math.nan, len(defined))


def _best(table: Sequence[GridPoint]) -> GridPoint:
    """The first of equals, and a grid begins with the given rule."""
    return max(table, key=lambda point: -math.inf if math.isnan(point.score) else point.score)


def _grid(
    rule: NucleusRule, thresholds: Sequence[float], values: Sequence[float], smallest_um2: Sequence[float]
) -> list[NucleusRule]:
    """All rules of the grid, each once, in the order of their distance from the given one."""
    name = rule.parting.tuned
    axes = [
        _from_default(default, others)
        for default, others in (
            (rule.threshold, thresholds),
            (getattr(rule.parting, name), values),
            (rule.smallest_um2, smallest_um2),
        )
    ]
    steps = sorted(itertools.product(*(range(len(axis)) for axis in axes)), key=sum)
    rules = []
    for indices in steps:
        threshold, value, smallest = (axis[index] for axis, index in zip(axes, indices, strict=True))
        parting = dataclasses.replace(rule.parting, **{name: value})  # type: ignore[type-var]
        rules.append(dataclasses.replace(rule, threshold=threshold, smallest_um2=smallest, parting=parting))
    return rules


def _from_default(default: float, others: Sequence[float]) -> list[float]:
    """Values of an axis, each once, the nearest to the default first.

    >>> _from_default(0.5, (0.3, 0.4, 0.5, 0.7))
    [0.5, 0.4, 0.3, 0.7]
    """
    return sorted({default, *others}, key=lambda value: (round(abs(value - default), 12), value))


def _scores(
    patch: ScoredPatch, *, rules: list[NucleusRule], score: Score, microns_per_px: float
) -> list[float]:
    """The score of a patch by each rule, NaN where it is undefined."""
    level, maps, truth = patch
    nuclei_by_rule: dict[NucleusRule, np.ndarray] = {}
    scores = []
    for rule in rules:
        # Sizes differ in what is dropped afterwards.
        undropped = dataclasses.replace(rule, smallest_um2=0.0)
        if undropped not in nuclei_by_rule:
            nuclei_by_rule[undropped] = find_nuclei(level, maps, undropped, microns_per_px=microns_per_px)
        nuclei = nuclei_by_rule[undropped]
        keeps = np.bincount(nuclei.ravel()) >= rule.smallest_um2 / microns_per_px**2
        value = score(truth, np.where(keeps[nuclei], nuclei, 0))
        scores.append(math.nan if value is None else float(value))
    return scores
