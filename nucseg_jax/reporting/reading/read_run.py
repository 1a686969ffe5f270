"""Reads a run folder: whatever is whole, and in words whatever is not.

Only `config.json`, `split.json` and, where the run recorded one, `dataset.json` are needed. Any other file may be
absent (an unfinished run, an older one), damaged, or altered since the run's record was written; the first leaves None
or nothing, the others a sentence in `faults` as well.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import TypeVar

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import require_regular_file
from nucseg_jax.core.strict_json import read_json
from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.calibration import calibration_path, read_levels
from nucseg_jax.evaluation.examples import examples_path
from nucseg_jax.evaluation.instances.per_image_instances import (
    per_image_instances_path,
)
from nucseg_jax.evaluation.per_image import per_image_path
from nucseg_jax.model_folder.folder import refuse_model_folder
from nucseg_jax.reporting.reading.robustness import with_own_measurements
from nucseg_jax.reporting.reading.run import Evaluation, Run, at
from nucseg_jax.reporting.reading.run_files import (
    checked_results,
    read_config,
    read_environment,
    read_epochs,
    read_evaluations,
    read_object,
    read_timing,
)
from nucseg_jax.reporting.reading.split_tables import contradictions, counts_of, instances_of
from nucseg_jax.run_folder.check import READ_WHEN_RESUMED, final_record
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.record import RunRecord

T = TypeVar("T")
RECORD, RESULTS = "record.json", "results.json"


def read_run(path: pathlib.Path) -> Run:
    """Reads a run folder; UserError if it is none, or its config or split cannot be read."""
    refuse_model_folder(path)
    folder = RunFolder(path)
    if not folder.config.exists():
        raise UserError("no config.json: not the folder of a run")
    config = read_config(folder.config)
    newest = folder.newest_record()
    if newest is not None:
        newest.require_config(folder.config, config)
    splits, record = folder.read_splits()
    info = folder.read_info()
    files = _Files(path)
    final = files.read(path, lambda _: final_record(folder), None)
    if final is not None:
        final.require_config(folder.config, config)
        final.require_data(folder.split, splits.digest, record["data_digest"])
        final.require_presence(folder.dataset)
        files.record = final
    elif not folder.results.exists():
        files.record = newest
    classes = at(config, "model", "num_classes")
    scores = {} if files.record is None else files.record.scores
    counts, instances, calibration = {}, {}, {}
    for split in SPLIT_NAMES:
        listed = getattr(splits, split)
        counts[split] = files.read(per_image_path(path, split), counts_of(listed, info, classes), None)
        read_instances = instances_of(listed, info, classes)
        instances[split] = files.read(per_image_instances_path(path, split), read_instances, None)
        calibration[split] = files.read(calibration_path(path, split), read_levels, None)
        # Read when they are drawn.
        files.read(examples_path(path, split), lambda _: None, None)
    nothing: tuple[Evaluation, ...] = ()

    def own_evaluations(file: pathlib.Path) -> tuple[Evaluation, ...]:
        found = read_evaluations(file, info)
        for evaluation in found:
            require_own(evaluation, scores)
        return found

    evaluations = [
        evaluation
        for file in sorted(path.glob("evaluations/*/results.json"))
        for evaluation in files.read(file, own_evaluations, nothing)
        if evaluation.about.get("split_digest") == splits.digest
        and evaluation.about.get("data_digest") == record["data_digest"]
    ]
    run = Run(
        path=path,
        config=config,
        info=info,
        split_digest=splits.digest,
        data_digest=str(record["data_digest"]),
        sizes={split: len(getattr(splits, split)) for split in SPLIT_NAMES},
        environment=files.read(folder.environment, read_environment, {}),
        weights=files.read(folder.pretrained, read_object, None),
        epochs=files.read(folder.metrics, lambda file: read_epochs(file, info), ()),
        results=files.read(folder.results, lambda file: checked_results(read_json(file), info), None),
        timing=files.read(folder.timing, read_timing, {}),
        counts={split: found for split, found in counts.items() if found is not None},
        instances={split: found for split, found in instances.items() if found is not None},
        calibration={split: found for split, found in calibration.items() if found is not None},
        evaluations=tuple(evaluations),
        faults=tuple(files.faults),
        is_checked=files.record is not None and files.record.is_sealed,
        record=files.record,
    )
    return with_own_measurements(dataclasses.replace(run, faults=(*run.faults, *contradictions(run))))


class _Files:
    """Reads files that may be absent, damaged or altered, by the run's record, and keeps a sentence for each fault."""

    def __init__(self, run: pathlib.Path):
        self._run = run
        self.record: RunRecord | None = None
        self.faults: list[str] = []

    def read(self, file: pathlib.Path, read: Callable[[pathlib.Path], T], otherwise: T) -> T:
        """Returns what `read` makes of a file; `otherwise` where it is absent, damaged or altered, which is noted."""
        if not file.exists():
            return otherwise
        try:
            self._check(file)
            return read(file)
        # Each parser raises its own on damaged files, and one run must not end the report of all.
        except Exception as error:
            reason = reason_of(error).removeprefix(f"{file} ").removeprefix(f"{self._run / RECORD} ")
            name = RECORD if file == self._run else file.relative_to(self._run)
            self.faults.append(f"{name}: {reason}")
            return otherwise

    def _check(self, file: pathlib.Path) -> None:
        """Raises AlteredRunError if a file of the run's own folder is not as it was recorded."""
        if file != self._run:
            require_regular_file(file)
        record = self.record
        if record is None or not record.is_sealed or file.parent != self._run:
            return
        is_finished = RESULTS in record.files
        # An unfinished run's record has what is read when it is resumed; lines were added since.
        if is_finished or file.name in READ_WHEN_RESUMED:
            record.require_file(file, may_be_longer=not is_finished and file.suffix == ".jsonl")


def require_own(evaluation: Evaluation, scores: Mapping[int, float]) -> None:
    """Raises ValueError if an evaluation is of another run's checkpoint, by the run's validation scores by step.

    Those of earlier versions do not tell.
    """
    step, score = evaluation.about.get("checkpoint_step"), evaluation.about.get("checkpoint_score")
    if score is not None and type(step) is int and scores and scores.get(step) != score:
        raise ValueError(f"it is of another run: its checkpoint of step {step:,} has the score {score}")
