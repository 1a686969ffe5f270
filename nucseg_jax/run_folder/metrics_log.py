"""Records of a run while it trains: `metrics.jsonl` for programs, event files for TensorBoard.

{"step": 50, "epoch": 1, "kind": "train", "loss": 0.41, "dice_loss": 0.38, "l2_penalty": 0.03}
{"step": 120, "epoch": 1, "kind": "epoch", "validation": {"micro": {"dice": 0.74}}}
"""

import json
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Self, SupportsFloat

import numpy as np
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import atomic_write, open_to_append, read_file
from nucseg_jax.core.strict_json import Json, JsonObject, parse_json


class MetricsLog:
    """A file of JSON lines; what `write` has written outlives a kill of the process.

    Opening it drops a last line that a kill left unfinished, and keeps the rest.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        if path.exists():
            self._keep(lambda line: True)
        self._file = open_to_append(path)

    def write(self, step: int, epoch: int, kind: str, values: Mapping[str, object]) -> None:
        """Appends one line.

        Args:
          step: optimizer steps done.
          epoch: epoch the line belongs to, from 1.
          kind: what the line is, "train" or "epoch" for instance.
          values: numbers, arrays (numpy or jax), strings, None, and mappings and lists of these. A number
            that is not finite becomes null.

        Raises:
          ValueError: a value is called step, epoch or kind.
        """
        head = {"step": int(step), "epoch": int(epoch), "kind": kind}
        taken = sorted(head.keys() & values.keys())
        if taken:
            raise ValueError(f"values must not be called {', '.join(taken)}")
        self._file.write(_json_line({**head, **values}))
        self._file.flush()

    def truncate_after(self, step: int) -> None:
        """Drops the lines of later steps: a run that resumes from `step` writes them again."""
        self._file.close()
        self._keep(lambda line: line["step"] <= step)
        self._file = open_to_append(self._path)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _keep(self, is_kept: Callable[[JsonObject], bool]) -> None:
        # Byte for byte, since the run's record holds a digest of these lines.
        content = _whole_lines(self._path)
        kept = [
            line for line, values in zip(content, read_metrics(self._path), strict=True) if is_kept(values)
        ]
        with atomic_write(self._path) as temporary:
            temporary.write_bytes(b"".join(line + b"\n" for line in kept))


def read_metrics(path: pathlib.Path) -> list[JsonObject]:
    """Reads the lines of a `metrics.jsonl`; a last line without its newline was cut off by a kill and is left out.

    Raises:
      UserError: it cannot be read, or another line is not a JSON object with a step.
    """
    read = []
    try:
        lines = _whole_lines(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}",
            expected="the file that train wrote",
            advice="restore it from a copy, or move it away",
        ) from None
    for number, line in enumerate(lines, start=1):
        try:
            values = parse_json(line)
            if type(values["step"]) is not int:
                raise ValueError("its step is no whole number")
        except (ValueError, TypeError, KeyError):
            raise UserError(
                f"line {number} of {path} is {line[:60]!r}",
                expected='a JSON object such as {"step": 50, "epoch": 1, "kind": "train", "loss": 0.41}',
                advice="remove that line, or move the file away",
            ) from None
        read.append(values)
    return read


def validation_scores(path: pathlib.Path, *, up_to_step: int) -> dict[int, float]:
    """Reads validation micro Dice by step from epoch lines of a `metrics.jsonl` up to a step; undefined ones are 0.

    Raises:
      UserError: a line is damaged.
    """
    scores = {}
    for line in read_metrics(path):
        if line.get("kind") == "epoch" and line["step"] <= up_to_step:
            try:
                scores[line["step"]] = float(line["validation"]["micro"]["dice"] or 0.0)
            except (KeyError, TypeError, ValueError):
                raise UserError(
                    f"{path} has an epoch line of step {line['step']:,} without the Dice in validation",
                    expected="the file that train wrote",
                    advice="restore it from a copy, or remove that line",
                ) from None
    return scores


def _whole_lines(path: pathlib.Path) -> list[bytes]:
    *lines, _ = read_file(path).split(b"\n")
    return lines


class SummaryWriter:
    """TensorBoard event files, with the method names of clu's MetricWriter, which needs TensorFlow.

    Like the lines of MetricsLog, what a call writes outlives a kill: tensorboardX's own SummaryWriter hands
    events to a thread, and its flush does not wait for that thread. Its encoders are used here, its thread is
    not; nor is the host name in its file names.

    Args:
      folder: where the event file goes; made if missing.
      resume_after_step: the step a run resumes from; TensorBoard then hides what earlier event files say of
        later steps. None for a new run.
    """

    def __init__(self, folder: pathlib.Path, *, resume_after_step: int | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files with "tfevents" in their names, in the order of the names.
        self._records = RecordWriter(str(folder / f"events.out.tfevents.{time.time_ns()}"))
        self._write(Event(file_version="brain.Event:2"))
        if resume_after_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._write(Event(step=resume_after_step + 1, session_log=start))
        self.flush()

    def write_scalars(self, step: int, scalars: Mapping[str, SupportsFloat | None]) -> None:
        """Writes numbers by name; a slash in a name groups charts. None, an undefined score, is left out."""
        defined = {name: float(value) for name, value in scalars.items() if value is not None}
        self._write_summaries(step, [summary.scalar(name, value) for name, value in defined.items()])

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Writes pictures by name, side by side, 8 in a row: uint8, or float in 0..1, [N, H, W, 1 or 3]."""
        self._write_summaries(
            step,
            [summary.image(name, np.asarray(batch), dataformats="NHWC") for name, batch in images.items()],
        )

    def write_hparams(self, hparams: Mapping[str, object]) -> None:
        """Writes the values of the HPARAMS tab; nested mappings become names with dots."""
        _, session_start, _ = summary.hparams(_flat(hparams), {})
        self._write_summaries(0, [session_start])

    def flush(self) -> None:
        """Brings everything written so far to disk; every method has done so already."""
        self._records.flush()

    def close(self) -> None:
        """Closes the file."""
        self._records.close()

    def _write_summaries(self, step: int, summaries: list[Summary]) -> None:
        for each in summaries:
            self._write(Event(step=int(step), summary=each))
        self.flush()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())


def _json_line(values: Mapping[str, object]) -> str:
    return json.dumps(_plain(values), allow_nan=False) + "\n"


def _plain(value: object) -> Json:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    array = np.asarray(value)
    if array.ndim:
        return [_plain(part) for part in array]
    if array.dtype == bool or np.issubdtype(array.dtype, np.integer):
        return int(array) if array.dtype != bool else bool(array)
    # The shortest decimal, 0.1 and not 0.10000000149011612; it reads back as the same float32.
    number = float(str(array) if array.dtype == np.float32 else array)
    return number if math.isfinite(number) else None


def _flat(nested: Mapping[str, object], prefix: str = "") -> dict[str, bool | int | float | str]:
    flat: dict[str, bool | int | float | str] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat
