"""Robustness measurements of the runs of a report: inside the run folders, and in folders written elsewhere.

A measurement holds the record of the checkpoint that was scored: it is matched to a run by that, never by a path.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.evaluation.robustness.measurement import Measurement, read_measurement
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.record import RunRecord

_LONGEST = 200


def with_own_measurements(run: Run) -> Run:
    """Returns a run with the measurements in its folder; one that cannot be used becomes a fault of the run."""
    root = RunFolder(run.path).robustness
    if not root.is_dir():
        return run
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    found, faults = [], []
    for folder in folders:
        try:
            measurement = read_measurement(folder)
            reason = mismatch(measurement, run)
            if reason:
                raise ValueError(reason)
            found.append(measurement)
        # Whatever is wrong with one measurement, the run is reported.
        except Exception as error:
            reason = reason_of(error).removeprefix(f"{folder}").removeprefix("/")
            faults.append(f"{folder.relative_to(run.path)}: {reason}")
    return dataclasses.replace(run, measurements=tuple(found), faults=(*run.faults, *faults))


def with_measurements_of(folders: Sequence[pathlib.Path], runs: Sequence[Run]) -> tuple[Run, ...]:
    """Adds measurements that were written elsewhere to the runs that they are of; one that a run has counts once.

    Raises:
      UserError: a folder holds no usable measurement, or one of no run, or of several.
    """
    with_all = list(runs)
    for folder in folders:
        if not folder.is_dir():
            raise UserError(
                f"--robustness={folder} is no folder", expected="a folder that `robustness --out` wrote"
            )
        measurement = read_measurement(folder)
        reasons = [mismatch(measurement, run) for run in with_all]
        places = [place for place, reason in enumerate(reasons) if not reason]
        if len(places) != 1:
            # The run that it resembles most, by the length of what differs.
            reason, nearest = min(zip(reasons, with_all, strict=True), key=lambda pair: len(pair[0]))
            whose = "several runs" if places else "no run"
            why = "" if places else f". Compared with {nearest.path}, {reason}"
            raise UserError(
                f"--robustness={folder} belongs to {whose} of this report: it measures"
                f" {_scored(measurement)}{why}",
                expected="measurements of runs that --runs matches",
                advice="add the run to --runs, or leave the folder out",
            )
        with_all[places[0]] = with_measurements(with_all[places[0]], [measurement])
    return tuple(with_all)


def with_measurements(run: Run, measurements: Sequence[Measurement]) -> Run:
    """Returns a run with more measurements; copies of one that it has are left out."""
    by_digest = {each.digest: each for each in (*measurements, *run.measurements)}
    own = [each.digest for each in run.measurements]
    others = [each.digest for each in measurements if each.digest not in own]
    ordered = dict.fromkeys([*own, *others])
    return dataclasses.replace(run, measurements=tuple(by_digest[digest] for digest in ordered))


def mismatch(measurement: Measurement, run: Run) -> str:
    """Describes why a measurement is not of a run, or of another checkpoint than its best; '' if it is of it."""
    record = RunRecord.from_json(
        dict(measurement.about["run"]), source=str(measurement.folder), step=0, is_sealed=True
    )
    known = run.record or RunRecord(
        str(run.path), 0, run.config, run.split_digest, run.data_digest, is_sealed=False
    )
    changes = record.differences_from(known)
    if changes:
        told = "; ".join(changes)
        return f"it is of another run: {told[:_LONGEST]}{'...' if len(told) > _LONGEST else ''}"
    best = max(((score, step) for step, score in known.scores.items()), default=None)
    if known.is_sealed and best is not None and best[1] != record.step:
        return (
            f"it is of the checkpoint of step {record.step:,}, and the run's best is that of step {best[1]:,};"
            " measure it again"
        )
    return ""


def _scored(measurement: Measurement) -> str:
    config = measurement.about["run"]["config"]
    model = f"{at(config, 'model', 'decoder')} {at(config, 'model', 'encoder')}"
    return f"{model}, seed {at(config, 'train', 'seed')}, step {measurement.about['checkpoint_step']:,}"
