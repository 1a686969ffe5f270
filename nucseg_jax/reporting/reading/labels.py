"""Labels of configurations: those that a sweep gave to their runs, without what tells the seeds apart."""

import re
from collections.abc import Sequence

from nucseg_jax.reporting.reading.run import Run, at

Order = tuple[bool, str, float, tuple[tuple[int, str], ...]]


def common_label(labels: Sequence[str]) -> str:
    """Returns what the labels of repeated runs share, part by part; '' where that is nothing.

    >>> common_label(["unet_seed0", "unet_seed1"]), common_label(["seed0", "seed1"]), common_label(["lr_0.1_seed0"])
    ('unet', '', 'lr_0.1_seed0')
    """
    if len(set(labels)) == 1:
        return labels[0]
    parts = [re.findall(r"(^|[_-])([^_-]*)", label) for label in labels]
    if len({len(each) for each in parts}) != 1:
        return ""
    shared = [each[0] for each in zip(*parts, strict=True) if len({word for _, word in each}) == 1]
    return "".join(separator + word for separator, word in shared).lstrip("_-")


def distinct_labels(runs_by_name: Sequence[tuple[str, Sequence[Run]]]) -> list[str]:
    """Returns a label for each configuration, given by name and runs.

    It is its sweep's, its name where there is none, both where one comes twice.
    """
    labels = [
        common_label([str(at(run.environment, "started_from", "sweep", "label") or "") for run in runs])
        for _, runs in runs_by_name
    ]
    return [
        name if not label else f"{label}, {name}" if labels.count(label) > 1 else label
        for label, (name, _) in zip(labels, runs_by_name, strict=True)
    ]


def sweep_order(runs: Sequence[Run]) -> Order:
    """Returns a key that sorts configurations by sweep and row; runs of no sweep come last, in the order they had.

    Earlier versions recorded no index of the row: their rows are in the order of labels, numbers as numbers.
    """
    return min(map(_order, runs))


def _order(run: Run) -> Order:
    sweep = at(run.environment, "started_from", "sweep")
    if not sweep:
        return True, "", 0.0, ()
    index = at(sweep, "index")
    words = re.findall(r"\d+|\D+", str(at(sweep, "label") or ""))
    natural = tuple((int(word[:18]), "") if word.isdecimal() else (-1, word) for word in words)
    return False, str(at(sweep, "file") or ""), float("inf") if index is None else index, natural
