"""Main effects: where configurations form a grid of fields, what each field does on average over the others."""

from collections.abc import Sequence

from nucseg_jax.core.counted import counted
from nucseg_jax.reporting.page.document import Cell, Difference, Interval, Table
from nucseg_jax.reporting.sections.cells import defined, limits, listed
from nucseg_jax.reporting.sections.comparison import LEVEL, Effect
from nucseg_jax.reporting.sections.part import Part
from nucseg_jax.reporting.sections.ranking import is_open, with_limits


def effect_sentence(effect: Effect) -> str:
    """States which value of a field is better than the next, and by how much."""
    names = list(effect.factor.levels)
    others = [place for place in range(len(names)) if place != effect.best]
    second = max(others, key=lambda place: effect.scores.estimate[place])
    estimate, low, high = (float(-values[second]) for values in effect.differences)
    includes_0 = " (includes 0)" if is_open(low, high) else ""
    better, worse, lead = names[effect.best], names[second], (estimate, high, low)
    if estimate < 0:
        better, worse, lead = worse, better, (-estimate, -low, -high)
    return f"Averaged over the grid, {better} is better than {worse} by {with_limits(*lead)}{includes_0}."


def effects_table(part: Part, effects: Sequence[Effect]) -> Table:
    """Returns a row for each value of each field of the grid; the value that the others are compared with is shaded."""
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
