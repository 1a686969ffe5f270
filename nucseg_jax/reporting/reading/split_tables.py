"""The tables of counts of a run: each must be of the run's patches and classes, and give the scores of results.json."""

import math
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.instances.per_image_instances import (
    per_image_instances_path,
    read_per_image_instances,
)
from nucseg_jax.evaluation.per_image import read_per_image
from nucseg_jax.reporting.reading.run import Entry, Run, at


def counts_of(
    patches: np.ndarray, info: DatasetInfo, classes: int | None
) -> Callable[[pathlib.Path], Counts | None]:
    """Makes a reader of per-image counts that requires these patches, in this order, and so many classes."""

    def read(file: pathlib.Path) -> Counts | None:
        found, listed = read_per_image(file, info)
        _require_same(listed, patches)
        logits = found.counts.shape[1]
        if classes is not None and logits != classes:
            raise ValueError(f"its {logits} counted classes are not the {classes} of config.json")
        return found

    return read


def instances_of(
    patches: np.ndarray, info: DatasetInfo, classes: int | None
) -> Callable[[pathlib.Path], InstanceCounts | None]:
    """Makes a reader of instance counts that requires the same as `counts_of`."""

    def read(file: pathlib.Path) -> InstanceCounts | None:
        found, listed = read_per_image_instances(file, info)
        _require_same(listed, patches)
        if classes is not None and found.num_classes != classes - 1:
            raise ValueError(
                f"its nuclei have {counted(found.num_classes, 'class')}, not the classes of config.json"
            )
        return found

    return read


def _require_same(listed: np.ndarray, patches: np.ndarray) -> None:
    if not np.array_equal(listed, patches):
        raise ValueError(f"its {counted(len(listed), 'patch')} are not the {len(patches)} of split.json")


def contradictions(run: Run) -> list[str]:
    """Names the splits whose table of counts does not give the scores of results.json."""
    if run.results is None:
        return []
    faults = []
    for split, counts in run.counts.items():
        computed = {**counts.scores(run.info), **counts.mean_losses()}
        if _differ(computed, run.results[split]):
            faults.append(f"per_image_{split}.csv: its counts do not give the scores in results.json")
    for split, nuclei in run.instances.items():
        written = at(run.results, split, "instances")
        if written is None or _differ(nuclei.scores(run.info)["instances"], written):
            name = per_image_instances_path(run.path, split).name
            faults.append(f"{name}: its counts do not give the scores in results.json")
    return faults


def _differ(computed: Entry, written: Entry) -> bool:
    """Returns True if an entry of results.json has other values than were computed, as far as it has them.

    In every convention, of nucleus or of a class, and of every loss that has a column. Pooled scores are exact;
    means may differ in the last digit from those of an earlier version.
    """
    for name, value in written.items():
        if name == "classes":
            classes = computed.get(name, {})
            if any(_differ(classes[each], entry) for each, entry in value.items() if each in classes):
                return True
        elif isinstance(value, Mapping):
            if name in computed and _differ(computed[name], value):
                return True
        elif name in computed and not _is_close(computed[name], value):
            return True
    return False


def _is_close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
