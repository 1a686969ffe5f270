"""A run folder held against its records: whatever was altered is refused, and named, before it is used."""

import dataclasses
from collections.abc import Mapping

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import atomic_write, json_text, write_json
from nucseg_jax.core.results import Entry
from nucseg_jax.core.seal import file_digest
from nucseg_jax.core.strict_json import read_json
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.metrics_log import validation_scores
from nucseg_jax.run_folder.record import (
    UNCHECKED,
    AlteredRunError,
    RunRecord,
    digests_of,
    read_record_file,
    sealed_record,
)
from nucseg_jax.run_folder.saved_checkpoints import (
    DamagedCheckpointError,
    SavedCheckpoint,
    all_saved,
    best_saved,
    checkpoint_paths,
    damage_without_arrays,
    newest_record,
    read_saved,
)

# Files that are read again: when a run is resumed, and beside these once it has ended.
READ_WHEN_RESUMED = ("metrics.jsonl", "pretrained.json", "dataset.json", "stain.json")
READ_AT_THE_END = (
    *READ_WHEN_RESUMED,
    "environment.json",
    "timing.json",
    "per_image_*.csv",
    "calibration_*.csv",
    "examples_*.npz",
    "baselines.json",
    "nucleus_rule.json",
    "temperature.json",
)


def final_record(folder: RunFolder) -> RunRecord | None:
    """Reads the record of a finished run; None of an unfinished one, and of one that an earlier version finished.

    Raises:
      AlteredRunError: it is damaged, of another run, or missing where there must be one.
    """
    # Written before results.json: without that it is a leftover of an end that was cut off.
    if not folder.results.exists():
        return None
    newest = newest_record(folder.checkpoints)
    if folder.record.exists():
        record = read_record_file(folder.record)
        changes = [] if newest is None else newest.differences_from(record)
        if newest is not None and changes:
            raise AlteredRunError(
                f"{folder.record} is of another run than {newest.source}: " + "; ".join(changes),
                expected="the record that train wrote at the end",
                advice=f"restore it and {folder.results.name} from a copy; or move both away and rerun the train"
                " command, which scores the best checkpoint again",
            )
        return record
    if newest is not None and newest.is_sealed:
        raise AlteredRunError(
            f"{folder.record} is missing: nothing tells whether the results are as they were written",
            advice=f"restore it from a copy; or move {folder.results.name} away and rerun the train command, which"
            " scores the best checkpoint again",
        )
    return None


def require_config(folder: RunFolder) -> None:
    """Raises AlteredRunError unless config.json is what the checkpoints were trained with, all of one run."""
    record = folder.newest_record()
    if record is None:
        return
    try:
        config = read_json(folder.config)
        if not isinstance(config, dict):
            raise ValueError("it is no object")
    except OSError as error:
        raise UserError(
            f"{folder.config} cannot be read: {error.strerror}",
            expected="the config.json of a run folder",
            advice="give the --workdir of a training run",
        ) from None
    except ValueError as error:
        raise UserError(
            f"{folder.config} is not JSON: {reason_of(error)}", expected="the config.json of a run"
        ) from None
    record.require_config(folder.config, config)
    for path in checkpoint_paths(folder.checkpoints):
        try:
            earlier = read_saved(path).record
        except DamagedCheckpointError:
            continue
        # One that training has saved meanwhile is later.
        changes = earlier.differences_from(record) if earlier.step < record.step else []
        if changes:
            raise AlteredRunError(
                f"{path} is of another run than {record.source} beside it: " + "; ".join(changes),
                expected="checkpoints of one run, as train saved them",
                advice="move away the one that is not of this run",
            )


def best_checkpoint(folder: RunFolder) -> tuple[SavedCheckpoint, list[str]]:
    """Returns the checkpoint that a run is used with: the highest score in validation, the later of equal ones.

    Returns:
      It, and what was found altered that does not change which one it is, one sentence each.

    Raises:
      UserError: no checkpoint was validated yet, the best is gone, or the scores cannot be relied on.
    """
    found = all_saved(folder.checkpoints)
    if not found:
        raise UserError(
            f"{folder.path} holds no checkpoint", advice="train first, or wait for the first epoch"
        )
    best = best_saved(found)
    scores = known_scores(folder, up_to_step=found[0].record.step)
    require_best(folder, None if best is None else best.score, scores)
    if best is None:
        raise UserError(
            f"{folder.path} holds no validated checkpoint yet", advice="wait for the first epoch's end"
        )
    notes = []
    for saved in found:
        known = scores.get(saved.record.step, saved.score)
        if known != saved.score:
            raise DamagedCheckpointError(
                saved.path, f"its score is {saved.score}, and {known} was recorded elsewhere"
            )
        error = damage_without_arrays(saved.path)
        if error is not None and saved.path.exists():
            notes.append(f"{saved.path / 'metrics'} was altered and is passed over: {error.reason}")
    if not best.record.is_sealed:
        notes.append(f"{folder.path} was {UNCHECKED}")
    return best, notes


def known_scores(folder: RunFolder, *, up_to_step: int) -> dict[int, float]:
    """Returns validation scores by step, from the records; metrics.jsonl has those of earlier versions' runs.

    Args:
      folder: of the run.
      up_to_step: of an unfinished run later ones are left out: they are not saved yet, or were saved meanwhile.
    """
    newest = newest_record(folder.checkpoints)
    is_sealed = newest is not None and newest.is_sealed
    scores = (
        {step: score for step, score in newest.scores.items() if step <= up_to_step}
        if newest is not None and is_sealed
        else logged_scores(folder, up_to_step=up_to_step)
    )
    if is_sealed and folder.results.exists() and folder.record.exists():
        scores |= read_record_file(folder.record).scores
    return scores


def resumed_scores(folder: RunFolder, record: RunRecord) -> dict[int, float]:
    """Returns validation scores up to the checkpoint that a run resumes from.

    Args:
      folder: of the run.
      record: of that checkpoint.

    Raises:
      AlteredRunError: a file that the resumed run reads or adds to was altered since.
    """
    if not record.is_sealed:
        print(f"{folder.path} was {UNCHECKED}")
        return logged_scores(folder, up_to_step=record.step)
    for name in READ_WHEN_RESUMED:
        if (folder.path / name).exists():
            record.require_file(folder.path / name, may_be_longer=name == folder.metrics.name)
    return dict(record.scores)


def logged_scores(folder: RunFolder, *, up_to_step: int) -> dict[int, float]:
    """Returns validation scores by step, from metrics.jsonl."""
    return validation_scores(folder.metrics, up_to_step=up_to_step) if folder.metrics.exists() else {}


def require_best(folder: RunFolder, best_score: float | None, scores: Mapping[int, float]) -> None:
    """Raises UserError if a better checkpoint than those that are there is known.

    Another would count as the best without a word: the best was damaged and set aside, or moved away.

    Args:
      best_score: the highest of the checkpoints that are there.
      scores: known ones, by step.
    """
    score, step = max(((score, step) for step, score in scores.items()), default=(0.0, 0))
    if score > (0.0 if best_score is None else best_score):
        raise UserError(
            f"the best checkpoint of {folder.path}, of step {step:,}, is gone: its Dice in validation was {score:.4f}"
            + ("" if best_score is None else f", the best that is left has {best_score:.4f}"),
            expected=f"{folder.checkpoints / str(step)}",
            advice=f"put it back from a copy (what was damaged lies in {folder.damaged_checkpoints.name}), or train"
            " again in another --workdir",
        )


def finish(folder: RunFolder, record: RunRecord, results: Mapping[str, object]) -> None:
    """Writes record.json and then results.json, after everything else that a run leaves.

    Args:
      record: of the run; its `files` are replaced by the digests of all files that are read again.
      results: content of results.json.
    """
    with atomic_write(folder.results) as temporary:
        temporary.write_text(json_text(results), encoding="utf-8")
        files = {**digests_of(folder.path, READ_AT_THE_END), folder.results.name: file_digest(temporary)}
        write_json(folder.record, sealed_record(dataclasses.replace(record, files=files)))


def read_results(folder: RunFolder) -> dict[str, Entry]:
    """Reads results.json, as it was written.

    Raises:
      UserError: it is damaged, or was altered since.
    """
    record = final_record(folder)
    if record is not None:
        record.require_file(folder.results)
    try:
        results: dict[str, Entry] = read_json(folder.results)
        if not isinstance(results, dict) or not all(isinstance(entry, dict) for entry in results.values()):
            raise ValueError("it is no object of scores")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder.results} is damaged: {reason_of(error)}",
            expected="the file that train wrote",
            advice="restore it from a copy, or move it away and rerun the train command, which scores the best"
            " checkpoint again",
        ) from None
    return results
