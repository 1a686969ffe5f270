"""Groups runs by their data set: the same patches, split alike, under the same names and at the same scale."""

import json
from collections.abc import Sequence

from nucseg_jax.reporting.reading.run import Run, at


def data_set_keys(runs: Sequence[Run]) -> list[str]:
    """Returns a key for each run, equal for those that may stand in one table.

    Names of classes count where runs with classes disagree about them: a model without classes has none of its own.
    """
    bases = [_base(run) for run in runs]
    named: dict[str, set[tuple[str, ...]]] = {}
    for run, base in zip(runs, bases, strict=True):
        if at(run.config, "model", "num_classes") not in (None, 1):
            named.setdefault(base, set()).add(run.info.class_names)
    return [
        json.dumps([base, run.info.class_names if len(named.get(base, ())) > 1 else []])
        for run, base in zip(runs, bases, strict=True)
    ]


def _base(run: Run) -> str:
    info = run.info
    about = (info.name, info.group_noun, info.groups, info.patch_px, info.microns_per_px, info.has_void)
    return json.dumps([run.split_digest, run.data_digest, about])
