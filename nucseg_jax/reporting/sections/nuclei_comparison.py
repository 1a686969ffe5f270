"""Tables of bPQ: with intervals and paired differences in every average, and by group."""

import numpy as np

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.instances.image_counts import ImageCounts
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.instances.instance_metrics import METRICS, truth_nuclei
from nucseg_jax.evaluation.instances.instance_scores import averages
from nucseg_jax.reporting.page.document import Block, Cell, Difference, Interval, Spread, Table
from nucseg_jax.reporting.reading.run import at
from nucseg_jax.reporting.sections.breakdown import words
from nucseg_jax.reporting.sections.cells import OVER_RUNS, defined, limits, mean, over_runs
from nucseg_jax.reporting.sections.comparison import LEVEL, SPLIT
from nucseg_jax.reporting.sections.nuclei_intervals import with_counted_nuclei
from nucseg_jax.reporting.sections.part import Part

_BPQ = METRICS["bpq"].title


def intervals_blocks(part: Part) -> list[Block]:
    """Returns the table of bPQ with intervals and differences; nothing where no run kept counts of nuclei."""
    compared = part.nuclei
    if compared is None:
        return []
    rows: list[tuple[Cell, ...]] = []
    references = set()
    for column, average in enumerate(averages(part.cohort.info)):
        for place, (each, runs) in enumerate(compared.runs.items()):
            estimate, low, high = limits(compared.scores, place, column)
            of_runs = [at(run.results, SPLIT, "instances", average, "bpq") for run in runs]
            difference: tuple[Cell, Cell] = (None, None)
            if place == compared.reference:
                references.add(len(rows))
            else:
                value, below, above = limits(compared.differences, place, column)
                difference = Difference(defined(value)), Interval(below, above, True)
            spread = Spread(defined(estimate), over_runs(of_runs).deviation)
            rows.append((average, each.label, spread, Interval(low, high), len(runs), *difference))
    to = "baseline" if compared.is_named else "best"
    headers = ("average", "configuration", _BPQ, f"{LEVEL} interval", "runs", f"to the {to}")
    noun = part.cohort.info.group_noun
    caption = (
        f"Test {_BPQ}, {OVER_RUNS}, the interval of that mean over patches, and the paired difference to the {to},"
        f" which is shaded: on the same resamples as those of Dice. In a resample `{noun}` averages over the {noun}s of"
        " which it has patches. An interval of a difference that includes 0 leaves the order open."
    )
    return [
        Table(
            part.file("nuclei_intervals"),
            caption,
            (*headers, "interval of the difference"),
            tuple(rows),
            references=frozenset(references),
        )
    ]


def quality_by_group(counts: InstanceCounts, info: DatasetInfo) -> dict[str, dict[str, float | None]]:
    """Returns by group its `patches` with nuclei in truth, and their mean `bpq` and, with classes, `mpq`."""
    has_truth = (truth_nuclei(counts.images)[:, 0] > 0) & counts.images.is_annotated
    names = ("bpq", "mpq") if counts.num_classes else ("bpq",)
    found: dict[str, dict[str, float | None]] = {}
    for number in np.unique(counts.group[has_truth]):
        is_here = has_truth & (counts.group == number)
        images = ImageCounts(*(field[is_here] for field in counts.images))
        means = {
            name: mean([defined(value) for value in METRICS[name].value(images, 0).tolist()])
            for name in names
        }
        found[info.groups[number]] = {"patches": int(is_here.sum()), **means}
    return found


def nuclei_by_group_blocks(part: Part) -> list[Block]:
    """Returns a table of bPQ and mPQ by group; nothing for a data set with one group, or without counts."""
    info = part.cohort.info
    counted = with_counted_nuclei(part.configurations)
    if len(info.groups) < 2 or not counted:
        return []
    found = [[quality_by_group(run.instances[SPLIT], run.info) for run in runs] for runs in counted.values()]
    columns = [
        (each.label, runs, name)
        for each, runs in zip(counted, found, strict=True)
        for name in ("bpq", "mpq")
        if name == "bpq" or any(name in quality for quality in runs[0].values())
    ]
    rows = [
        (
            words(group, info),
            int(found[0][0][group]["patches"] or 0),
            *(mean([quality[group][name] for quality in runs]) for _, runs, name in columns),
        )
        for group in info.groups
        if group in found[0][0]
    ]
    headers = (info.group_noun, "patches", *(f"{label}, {METRICS[name].title}" for label, _, name in columns))
    caption = (
        f"Mean over the test patches of each {info.group_noun} that have nuclei, mean over runs; the mean of a column"
        f" is the average `{info.group_noun}`. Few patches tell little."
    )
    return [Table(part.file(f"nuclei_{info.group_noun}s"), caption, headers, tuple(rows))]
