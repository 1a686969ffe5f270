"""Intervals of bPQ, and paired differences between configurations, on the same resamples; and bPQ by group."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.bootstrap import Intervals, bootstrap_intervals, with_differences
from nucseg_jax.evaluation.instances.image_counts import ImageCounts
from nucseg_jax.evaluation.instances.instance_bootstrap import AVERAGES, annotated_images, quality_statistic
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.instances.instance_metrics import METRICS, truth_nuclei
from nucseg_jax.evaluation.instances.instance_scores import averages
from nucseg_jax.reporting.page.document import Block, Cell, Difference, Interval, Spread, Table
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.breakdown import words
from nucseg_jax.reporting.sections.cells import OVER_RUNS, defined, mean, over_runs
from nucseg_jax.reporting.sections.comparison import LEVEL, SPLIT, limits
from nucseg_jax.reporting.sections.part import Part

_BPQ = METRICS["bpq"].title


class ComparedNuclei(NamedTuple):
    """Intervals of bPQ of a cohort.

    Attributes:
      runs: those that have counts of nuclei, by configuration.
      reference: position of the configuration that the others are compared with: the report's baseline, else that
        with the highest bPQ in the average over groups.
      is_named: True for the baseline.
      scores, differences: [configurations, averages]; differences are to the reference.
    """

    runs: Mapping[Configuration, tuple[Run, ...]]
    reference: int
    is_named: bool
    scores: Intervals
    differences: Intervals


def with_counted_nuclei(part: Part) -> dict[Configuration, tuple[Run, ...]]:
    """Returns the finished runs that kept the counts of nuclei of test patches, by configuration."""
    found = {
        each: tuple(run for run in each.finished if SPLIT in run.instances) for each in part.configurations
    }
    return {each: runs for each, runs in found.items() if runs}


def compare_nuclei(part: Part) -> ComparedNuclei | None:
    """Bootstraps all configurations that have counts of nuclei; None without any."""
    counted = with_counted_nuclei(part)
    if not counted:
        return None
    statistics = [
        quality_statistic([annotated_images(run.instances[SPLIT]) for run in runs])
        for runs in counted.values()
    ]
    some_run = next(iter(counted.values()))[0]
    patches = int(np.count_nonzero(some_run.instances[SPLIT].images.is_annotated))
    baseline = part.compared.configurations[part.compared.reference] if part.compared is not None else None
    is_named = part.compared is not None and part.compared.is_named and baseline in counted
    if is_named:
        reference = [each is baseline for each in counted].index(True)
    else:
        bpq = [statistic(np.ones((1, patches)))[0, 0] for statistic in statistics]
        reference = int(np.argmax(np.nan_to_num(bpq, nan=-1.0)))
    pairs = [(place, reference) for place in range(len(counted))]
    found = bootstrap_intervals(with_differences(statistics, pairs), patches)
    shape = (2, len(counted), len(AVERAGES))
    scores, differences = (Intervals(*(values.reshape(shape)[half] for values in found)) for half in range(2))
    return ComparedNuclei(counted, reference, is_named, scores, differences)


def intervals_blocks(part: Part) -> list[Block]:
    """Returns the table of bPQ with intervals and differences; nothing where no run kept counts of nuclei."""
    compared = compare_nuclei(part)
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
    counted = with_counted_nuclei(part)
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
