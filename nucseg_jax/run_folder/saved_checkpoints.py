"""Checkpoints as they lie on disk: their steps, scores and records, read without Orbax and without any array."""

import contextlib
import math
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import special_file_below, write_json
from nucseg_jax.core.seal import SEAL, unsealed
from nucseg_jax.core.strict_json import JsonObject, read_json
from nucseg_jax.run_folder.record import RunRecord

SCORE = "score"
# Times and handlers, of Orbax.
NOTES = "_CHECKPOINT_METADATA"
# Checksums of the arrays inside a checkpoint's record: of this version, and of earlier ones.
CRC32S = "crc32"
WEIGHTED_SUMS = "checksums"


class DamagedCheckpointError(UserError):
    """A checkpoint that is there cannot be read, or holds other values than were saved."""

    def __init__(self, path: pathlib.Path, reason: str):
        super().__init__(
            f"the checkpoint {path} is damaged: {reason}",
            advice="restore that folder from a copy; or, if it is the newest, move it away and rerun the same command:"
            " it resumes from the checkpoint before",
        )
        self.path = path
        self.reason = reason


class SavedCheckpoint(NamedTuple):
    """A checkpoint without its arrays.

    Attributes:
      path: its folder.
      values: the record's JSON values, the arrays' checksums among them, without the seal.
      record: the same as a record.
      score: of its validation, as recorded (by earlier versions: as Orbax's own file states); None between two.
    """

    path: pathlib.Path
    values: JsonObject
    record: RunRecord
    score: float | None


def checkpoint_paths(folder: pathlib.Path) -> list[pathlib.Path]:
    """The checkpoints in a folder, damaged or not, the newest first; those that are half written have other names."""
    if not folder.is_dir():
        return []
    paths = [entry for entry in folder.iterdir() if entry.is_dir() and entry.name.isdecimal()]
    return sorted(paths, key=lambda path: int(path.name), reverse=True)


def read_saved(path: pathlib.Path) -> SavedCheckpoint:
    """Reads what a checkpoint holds beside its arrays.

    Raises:
      DamagedCheckpointError: its record cannot be read, was altered, or is that of another checkpoint.
    """
    step = int(path.name)
    try:
        # Orbax would wait for them forever.
        special = special_file_below(path)
        if special is not None:
            raise ValueError(f"{special.relative_to(path)} is no regular file")
        values = read_json(path / "record" / "metadata")
        if not isinstance(values, dict):
            raise ValueError("it is no object")
        # An earlier version's record has neither a seal nor CRCs.
        is_sealed = SEAL in values or CRC32S in values
        if is_sealed:
            values = unsealed(values)
        elif "split_digest" not in values:
            raise ValueError("it holds no split")
        record = RunRecord.from_json(
            values, source=f"the checkpoint of step {step:,}", step=step, is_sealed=is_sealed
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpointError(path, f"its record cannot be read ({reason_of(error)})") from None
    if record.step != step:
        raise DamagedCheckpointError(path, f"it is the checkpoint of step {record.step:,}")
    score = record.scores.get(step) if is_sealed else score_in_file(path)
    return SavedCheckpoint(path, values, record, score)


def score_in_file(path: pathlib.Path) -> float | None:
    """Reads the score in Orbax's own file beside a checkpoint; None where there is none.

    Raises:
      DamagedCheckpointError: it cannot be read.
    """
    if not (path / "metrics").is_dir():
        return None
    try:
        score = read_json(path / "metrics" / "metrics")[SCORE]
        if type(score) not in (int, float) or not math.isfinite(score):
            raise ValueError(f"it is {str(score)[:40]!r}")
        return float(score)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpointError(path, f"its score cannot be read ({reason_of(error)})") from None


def damage_without_arrays(path: pathlib.Path) -> DamagedCheckpointError | None:
    """Damage of a checkpoint's record or score; Orbax, which chooses by the score, cannot see the second."""
    try:
        recorded, found = read_saved(path).score, score_in_file(path)
    except DamagedCheckpointError as error:
        return error
    if recorded != found:
        return DamagedCheckpointError(path, f"its score is {found}, and its record has {recorded}")
    return None


def mend_scores(folder: pathlib.Path) -> list[str]:
    """Writes Orbax's files of scores again where they differ from the checkpoints' intact records.

    Orbax's notes on a checkpoint, which nothing here needs and which it does not start on if they are damaged, are
    removed then.

    Returns:
      What was mended, one sentence each.
    """
    mended = []
    for path in checkpoint_paths(folder):
        with contextlib.suppress(DamagedCheckpointError):
            saved, error = read_saved(path), damage_without_arrays(path)
            if _has_damaged_notes(path):
                (path / NOTES).unlink()
                mended.append(f"{path / NOTES} was damaged; removed, nothing needs it")
            file = path / "metrics" / "metrics"
            if error is not None and saved.score is not None and file.parent.is_dir() and not file.is_dir():
                write_json(file, {SCORE: saved.score})
                mended.append(f"{file} was altered; written again from the record beside it: {error.reason}")
    return mended


def _has_damaged_notes(path: pathlib.Path) -> bool:
    if not (path / NOTES).is_file():
        return False
    try:
        return not isinstance(read_json(path / NOTES), dict)
    except (OSError, ValueError):
        return True


def newest_record(folder: pathlib.Path) -> RunRecord | None:
    """The record of the newest checkpoint whose record is intact; None without one."""
    for path in checkpoint_paths(folder):
        try:
            return read_saved(path).record
        except DamagedCheckpointError:
            continue
    return None


def all_saved(folder: pathlib.Path) -> list[SavedCheckpoint]:
    """Returns every checkpoint of a folder, the newest first; those that training removes meanwhile are left out.

    Raises:
      DamagedCheckpointError: the record of one is damaged.
    """
    found = []
    for path in checkpoint_paths(folder):
        try:
            found.append(read_saved(path))
        except DamagedCheckpointError:
            if path.exists():
                raise
    return found


def best_saved(saved: Sequence[SavedCheckpoint]) -> SavedCheckpoint | None:
    """Returns the checkpoint with the highest recorded score, the later of equal ones; None before a validation.

    Orbax's own files of scores decide nothing here: nothing would tell that one of them was altered.
    """
    scored = [each for each in saved if each.score is not None]
    return max(scored, key=lambda each: (each.score, int(each.path.name)), default=None)
