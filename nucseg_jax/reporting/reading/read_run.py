"""Reads a run folder: whatever is whole, and in words whatever is not.

Only `config.json` and `split.json` are needed. Any other file may be absent (an unfinished run, an older one) or
damaged; the first leaves None or nothing, the second a sentence in `faults` as well.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.calibration import calibration_path, read_levels
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image
from nucseg_jax.reporting.reading.run import Entry, Evaluation, Run, at
from nucseg_jax.reporting.reading.run_files import (
    checked_results,
    read_config,
    read_epochs,
    read_evaluations,
    read_json,
    read_object,
    read_timing,
)
from nucseg_jax.training.run_folder import RunFolder

T = TypeVar("T")


def read_run(path: pathlib.Path) -> Run:
    """Reads a run folder.

    Raises:
      UserError: it is none, or its config or split cannot be read.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        raise UserError("no config.json: not the folder of a run")
    config = read_config(folder.config)
    splits, record = folder.read_splits()
    files = _Files(path)
    counts = {
        split: files.read(
            per_image_path(path, split),
            _counts_of(getattr(splits, split), at(config, "model", "num_classes")),
            None,
        )
        for split in SPLIT_NAMES
    }
    calibration = {
        split: files.read(calibration_path(path, split), read_levels, None) for split in SPLIT_NAMES
    }
    nothing: tuple[Evaluation, ...] = ()
    evaluations = [
        evaluation
        for file in sorted(path.glob("evaluations/*/results.json"))
        for evaluation in files.read(file, lambda file: read_evaluations(file, path), nothing)
    ]
    results = files.read(folder.results, lambda file: checked_results(read_json(file)), None)
    run = Run(
        path=path,
        config=config,
        split_digest=splits.digest,
        data_digest=str(record["data_digest"]),
        sizes={split: len(getattr(splits, split)) for split in SPLIT_NAMES},
        environment=files.read(folder.environment, read_object, {}),
        weights=files.read(folder.pretrained, read_object, None),
        epochs=files.read(folder.metrics, read_epochs, ()),
        results=results,
        timing=files.read(folder.timing, read_timing, {}),
        counts={split: found for split, found in counts.items() if found is not None},
        calibration={split: found for split, found in calibration.items() if found is not None},
        evaluations=tuple(
            evaluation
            for evaluation in evaluations
            if evaluation.about.get("split_digest") == splits.digest
            and evaluation.about.get("data_digest") == record["data_digest"]
        ),
        faults=tuple(files.faults),
    )
    return dataclasses.replace(run, faults=(*run.faults, *contradictions(run)))


class _Files:
    """Reads files that may be absent or damaged, and keeps what was wrong with them."""

    def __init__(self, run: pathlib.Path):
        self._run = run
        self.faults: list[str] = []

    def read(self, file: pathlib.Path, read: Callable[[pathlib.Path], T], otherwise: T) -> T:
        """What `read` makes of a file; `otherwise` where it is absent, or damaged, which is noted."""
        if not file.exists():
            return otherwise
        try:
            return read(file)
        except (OSError, UserError, ValueError, KeyError, TypeError, IndexError) as error:
            reason = reason_of(error)
            self.faults.append(f"{file.relative_to(self._run)}: {reason.removeprefix(f'{file} ')}")
            return otherwise


def _counts_of(patches: np.ndarray, classes: int | None) -> Callable[[pathlib.Path], Counts | None]:
    """A reader of per-image counts that wants them to be of these patches, in this order, and so many classes."""

    def read(file: pathlib.Path) -> Counts | None:
        found, listed = read_per_image(file)
        if not np.array_equal(listed, patches):
            raise ValueError(f"its {len(listed)} patches are not the {len(patches)} of split.json")
        counted = found.counts.shape[1]
        if classes is not None and counted != classes:
            raise ValueError(f"its {counted} counted classes are not the {classes} of config.json")
        return found

    return read


def contradictions(run: Run) -> list[str]:
    """Splits whose table of counts does not give the scores of results.json."""
    if run.results is None:
        return []
    faults = []
    for split, counts in run.counts.items():
        if _differ(counts.compute(), run.results[split]):
            faults.append(f"per_image_{split}.csv: its counts do not give the scores in results.json")
    return faults


def _differ(computed: Entry, written: Entry) -> bool:
    """Whether an entry of results.json has other micro scores, of nucleus or of a class, than were computed."""
    micro = computed["micro"]
    if any(micro[metric] != value for metric, value in written["micro"].items() if metric in micro):
        return True
    classes = computed.get("classes", {})
    return any(
        _differ(classes[name], of_class)
        for name, of_class in written.get("classes", {}).items()
        if name in classes
    )
