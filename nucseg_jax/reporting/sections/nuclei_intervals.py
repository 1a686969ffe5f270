"""Intervals of bPQ of configurations, and paired differences between them, on the same resamples as those of Dice."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nucseg_jax.evaluation.bootstrap import Intervals, bootstrap_intervals, with_differences
from nucseg_jax.evaluation.instances.instance_bootstrap import AVERAGES, annotated_images, quality_statistic
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run
from nucseg_jax.reporting.sections.comparison import SPLIT


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


def with_counted_nuclei(configurations: Sequence[Configuration]) -> dict[Configuration, tuple[Run, ...]]:
    """Returns the finished runs that kept the counts of nuclei of test patches, by configuration."""
    found = {each: tuple(run for run in each.finished if SPLIT in run.instances) for each in configurations}
    return {each: runs for each, runs in found.items() if runs}


def compare_nuclei(configurations: Sequence[Configuration], baseline: str = "") -> ComparedNuclei | None:
    """Bootstraps all configurations that have counts of nuclei; None without any.

    Args:
      configurations: of one cohort.
      baseline: label of the configuration that the others are compared with; one that is not among them = the best.
    """
    counted = with_counted_nuclei(configurations)
    if not counted:
        return None
    statistics = [
        quality_statistic([annotated_images(run.instances[SPLIT]) for run in runs])
        for runs in counted.values()
    ]
    some_run = next(iter(counted.values()))[0]
    patches = int(np.count_nonzero(some_run.instances[SPLIT].images.is_annotated))
    labels = [each.label for each in counted]
    is_named = baseline in labels
    if is_named:
        reference = labels.index(baseline)
    else:
        bpq = [statistic(np.ones((1, patches)))[0, 0] for statistic in statistics]
        reference = int(np.argmax(np.nan_to_num(bpq, nan=-1.0)))
    pairs = [(place, reference) for place in range(len(counted))]
    found = bootstrap_intervals(with_differences(statistics, pairs), patches)
    shape = (2, len(counted), len(AVERAGES))
    scores, differences = (Intervals(*(values.reshape(shape)[half] for values in found)) for half in range(2))
    return ComparedNuclei(counted, reference, is_named, scores, differences)
