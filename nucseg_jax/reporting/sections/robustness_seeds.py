"""Micro Dice of each configuration on each data set that its runs were measured on, as the mean over seeds."""

import statistics
from collections.abc import Mapping, Sequence

from nucseg_jax.evaluation.robustness.summary import CLEAN_ROW, MEAN_ROW
from nucseg_jax.reporting.page.document import Block, Cell, Interval, Table
from nucseg_jax.reporting.reading.run import at
from nucseg_jax.reporting.sections.measured_run import MeasuredRun
from nucseg_jax.reporting.sections.part import Part

CLEAN, CORRUPTED = "clean", "mean corrupted"


def seeds_table(part: Part, rows: Sequence[MeasuredRun]) -> list[Block]:
    """Returns a table of configurations by data sets; nothing where no configuration has two seeds measured alike."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[MeasuredRun]] = {}
    for each in rows:
        alike = (each.configuration.label, each.patches, each.measurement.kinds)
        groups.setdefault(alike, []).append(each)
    if all(len(group) < 2 for group in groups.values()):
        return []
    scores = {alike: [micro_dice(each) for each in group] for alike, group in groups.items()}
    columns = list(dict.fromkeys(name for group in scores.values() for of_run in group for name in of_run))
    cells = tuple(
        (label, patches, len(group), *(cell for name in columns for cell in _mean_and_range(group, name)))
        for (label, patches, _), group in scores.items()
    )
    headers = (
        "configuration",
        "measured on",
        "seeds",
        *(text for name in columns for text in (name, f"seeds, {name}")),
    )
    caption = (
        "Micro Dice of each configuration: the mean over its seeds, and the lowest and highest of them. `clean` and"
        " `mean corrupted` are of the split that was corrupted, the others of whole data sets as they are."
    )
    return [Table(part.file("robustness_by_configuration"), caption, headers, cells)]


def micro_dice(measured: MeasuredRun) -> Mapping[str, float | None]:
    """Returns the micro Dice of a measurement by what it was measured on."""
    found = measured.measurement
    return {
        CLEAN: at(found.corruptions, "run", CLEAN_ROW, "estimate"),
        CORRUPTED: at(found.corruptions, "run", MEAN_ROW, "estimate"),
        **{data: at(shift, "run", CLEAN_ROW, "estimate") for data, shift in found.shifts.items()},
    }


def _mean_and_range(group: Sequence[Mapping[str, float | None]], name: str) -> tuple[Cell, Cell]:
    values = [of_run.get(name) for of_run in group]
    known = [value for value in values if value is not None]
    # A mean of fewer seeds than the column states would be taken for another.
    if len(known) < len(values):
        return None, None
    return statistics.fmean(known), Interval(min(known), max(known))
