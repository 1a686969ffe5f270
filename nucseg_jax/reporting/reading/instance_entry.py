"""The entry "instances" of results.json: checks its shape, and lists its scores in long form.

Its layout is described in `evaluation.instances.instance_scores`.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from nucseg_jax.data.dataset_info import NUCLEUS, DatasetInfo
from nucseg_jax.evaluation.instances.instance_metrics import CLASS_METRICS, METRICS
from nucseg_jax.evaluation.instances.instance_scores import averages
from nucseg_jax.reporting.reading.run import Entry, at

# Metrics that may be below 0, down to the lowest float that is written.
_UNBOUNDED = ("count_r2",)
_LOWEST = -1.8e308
_MOST = 10**12
COUNTED = {
    "patches": ("total", "annotated", "empty_truth", "empty_prediction", "both_empty"),
    "nuclei": ("truth", "predicted"),
}


def check_instances(entry: Any, name: str, info: DatasetInfo) -> None:
    """Raises ValueError unless the entry holds scores and counts where this version looks for them.

    Args:
      entry: "instances" of a split.
      name: of the split, for the message.
      info: of the data set, which names averages and classes.
    """
    _require_mapping(entry, name)
    classes = entry.get("classes", {})
    _require_mapping(classes, f"{name}, classes")
    if not classes.keys() <= set(info.class_names):
        raise ValueError(f"{name}, instances: classes that the data set does not have")
    columns = [(entry, METRICS), *((of_class, CLASS_METRICS) for of_class in classes.values())]
    for of_column, metrics in columns:
        _require_mapping(of_column, name)
        for average in averages(info):
            scores = of_column.get(average, {})
            _require_mapping(scores, f"{name}, {average}")
            for metric in metrics.keys() & scores.keys():
                _require_number(
                    scores[metric], _LOWEST if metric in _UNBOUNDED else 0, 1, f"{name}, {metric}"
                )
            _require_counts(scores, ("images", "groups"), f"{name}, {average}")
    for kind, names in COUNTED.items():
        counts = entry.get(kind, {})
        _require_mapping(counts, f"{name}, {kind}")
        _require_counts(counts, names, f"{name}, {kind}")


def instance_rows(entry: Entry, info: DatasetInfo) -> Iterator[tuple[str, str, str, float | int | None]]:
    """Yields (class, convention, metric, value) of every score and count of a split.

    Conventions are `instances_AVERAGE`, and `instances` for counts: no score of pixels has such a name.

    Args:
      entry: the split's entry of results.json; without "instances" nothing is yielded.
      info: of the data set.
    """
    instances = at(entry, "instances") or {}
    columns = [(NUCLEUS, instances, METRICS)]
    columns += [(name, each, CLASS_METRICS) for name, each in (at(instances, "classes") or {}).items()]
    for name, of_column, metrics in columns:
        for average in averages(info):
            scores = at(of_column, average) or {}
            yield from (
                (name, f"instances_{average}", metric, scores[metric])
                for metric in metrics
                if metric in scores
            )
    for kind, names in COUNTED.items():
        counts = at(instances, kind) or {}
        yield from (
            (NUCLEUS, "instances", f"{kind}_{each}", counts[each]) for each in names if each in counts
        )


def _require_mapping(value: Any, name: str) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}, instances: a {type(value).__name__} where an object was expected")


def _require_counts(values: Mapping[str, Any], names: Collection[str], where: str) -> None:
    for name in values.keys() & set(names):
        if type(values[name]) is not int or not 0 <= values[name] <= _MOST:
            raise ValueError(f"{where}: {name} is no count")


def _require_number(value: Any, lowest: float, highest: float, name: str) -> None:
    """Raises ValueError unless it is a number within limits, or None: undefined."""
    if value is not None and not (type(value) in (int, float) and lowest <= value <= highest):
        raise ValueError(f"{name}, instances: {str(value)[:40]!r} is no score")
