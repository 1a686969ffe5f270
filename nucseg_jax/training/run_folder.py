"""The run folder: what lies where, and who may go on in it."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import write_json
from nucseg_jax.core.lock import held
from nucseg_jax.data.splits import Splits
from nucseg_jax.training.record import read_metrics

LOCK = ".lock"


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder.

    Attributes:
      path: the folder itself.
      shared: the folder whose checkpoints are used, where several processes train one run; None = this one.
    """

    path: pathlib.Path
    shared: pathlib.Path | None = None

    @property
    def config(self) -> pathlib.Path:
        """The whole config as JSON."""
        return self.path / "config.json"

    @property
    def environment(self) -> pathlib.Path:
        """Versions, devices and git commit of each start."""
        return self.path / "environment.json"

    @property
    def split(self) -> pathlib.Path:
        """The three lists of patches, their digest and the data set's."""
        return self.path / "split.json"

    @property
    def pretrained(self) -> pathlib.Path:
        """Where the encoder's first weights came from: the report of their conversion; absent from scratch."""
        return self.path / "pretrained.json"

    @property
    def metrics(self) -> pathlib.Path:
        """One JSON line every `train.log_every_steps` and one an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def timing(self) -> pathlib.Path:
        """Wall seconds by phase of each start, and milliseconds an image of inference."""
        return self.path / "timing.json"

    @property
    def results(self) -> pathlib.Path:
        """The final scores; its presence says that the run is finished."""
        return self.path / "results.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Orbax checkpoints."""
        return (self.shared or self.path) / "checkpoints"

    @property
    def damaged_checkpoints(self) -> pathlib.Path:
        """Checkpoints that could not be read when the run was taken up again; there if there were any."""
        return (self.shared or self.path) / "damaged_checkpoints"

    @property
    def overlays(self) -> pathlib.Path:
        """Pictures of predictions."""
        return self.path / "overlays"

    @property
    def tensorboard(self) -> pathlib.Path:
        """Event files for TensorBoard."""
        return self.path / "tensorboard"

    def require_same_data(self, splits: Splits, data_digest: str) -> None:
        """Raises UserError unless the run was started on this data set and these splits."""
        stored, record = self.read_splits()
        if (stored.digest, record["data_digest"]) != (splits.digest, data_digest):
            raise UserError(
                f"{self.path} was started on another data set or split",
                expected=f"split {stored.digest[:12]}, data {record['data_digest'][:12]};"
                f" found split {splits.digest[:12]}, data {data_digest[:12]}",
                advice="point --config.data.dir at the data set the run was started on, or choose another"
                " --workdir",
            )

    def require_best(self, best_score: float | None, *, up_to_step: int) -> None:
        """Raises UserError if metrics.jsonl knows of a better checkpoint than those that are there.

        Another would count as the best without a word: the best was damaged and set aside, or moved away.

        Args:
          best_score: the highest of the checkpoints that are there.
          up_to_step: later ones are not expected yet.
        """
        if not self.metrics.exists():
            return
        scores = [
            (line["validation"]["micro"]["dice"] or 0.0, line["step"])
            for line in read_metrics(self.metrics)
            if line.get("kind") == "epoch" and line["step"] <= up_to_step
        ]
        score, step = max(scores, default=(0.0, 0))
        if score > (0.0 if best_score is None else best_score):
            raise UserError(
                f"the best checkpoint of {self.path}, of step {step:,}, is gone: its Dice in validation was {score:.4f}"
                + ("" if best_score is None else f", the best that is left has {best_score:.4f}"),
                expected=f"{self.checkpoints / str(step)}",
                advice=f"put it back from a copy (what was damaged lies in {self.damaged_checkpoints.name}), or train"
                " anew in another --workdir",
            )

    def record_start(self, environment: dict[str, Any]) -> None:
        """Writes the environment of the first start; those of later ones are added under 'resumed'."""
        if self.environment.exists():
            first = json.loads(self.environment.read_text(encoding="utf-8"))
            first.setdefault("resumed", []).append(environment)
            environment = first
        write_json(self.environment, environment)
        timing = self._read_timing()
        timing["starts"].append({})
        write_json(self.timing, timing)

    def record_timing(self, seconds: dict[str, float], program_from: str | None) -> None:
        """Writes this start's wall seconds by phase, and whence its program came, in place of what was there."""
        start: dict[str, Any] = {name: round(value, 3) for name, value in seconds.items()}
        if program_from is not None:
            start["program_from"] = program_from
        timing = self._read_timing()
        timing["starts"] = [*timing["starts"][:-1], start]
        write_json(self.timing, timing)

    def record_inference(self, entries: list[dict[str, float | int]]) -> None:
        """Writes milliseconds an image, see `evaluation.inference_time`."""
        write_json(self.timing, {**self._read_timing(), "inference": entries})

    def _read_timing(self) -> dict[str, Any]:
        if not self.timing.exists():
            return {"starts": []}
        return json.loads(self.timing.read_text(encoding="utf-8"))

    def read_splits(self) -> tuple[Splits, dict[str, Any]]:
        """The lists the run was started with, and the rest of split.json.

        Raises:
          UserError: missing, or altered since (its digest does not match).
        """
        try:
            stored = json.loads(self.split.read_text(encoding="utf-8"))
            splits = Splits.from_json(stored["lists"])
            recorded = stored["digest"], stored["data_digest"]
        except OSError as error:
            raise UserError(
                f"{self.split} cannot be read: {error.strerror}", expected="the folder of a training run"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.split} cannot be read: {reason_of(error)}", expected="the file that train wrote"
            ) from None
        if splits.digest != recorded[0]:
            raise UserError(
                f"{self.split} was altered: its lists no longer match their digest",
                advice="restore the file; without it nobody knows which patches were trained on",
            )
        return splits, stored


@contextlib.contextmanager
def claim_run_folder(
    path: pathlib.Path, config: dict[str, Any], changes: list[str], splits: Splits, data_digest: str
) -> Iterator[RunFolder]:
    """Makes a run folder, or takes up the one that is there, and holds it against other processes.

    Args:
      path: where.
      config: JSON values of the config; written, since fields that do not matter to the outcome may differ.
      changes: how `config` differs from the folder's own, in fields that matter to the outcome.
      splits: what will be trained on.
      data_digest: digest of the prepared data set.

    Yields:
      The folder.

    Raises:
      UserError: the folder cannot be written, is held by another process, belongs to another config, split or
        data set, or holds something that is no run.
    """
    folder = RunFolder(path)
    if changes:
        raise UserError(
            f"{path} was started with another config: " + "; ".join(changes),
            advice="choose another --workdir, or go on with the old values",
        )
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file", expected="a folder, or a path that does not exist yet")
    # A start that was killed before it wrote config.json leaves some of these.
    if path.exists() and not folder.config.exists():
        beginnings = {folder.split.name, LOCK}
        if any(entry.name not in beginnings and entry.suffix != ".part" for entry in path.iterdir()):
            raise UserError(
                f"{path} is not empty and has no config.json",
                expected="a run folder, an empty folder, or a path that does not exist yet",
                advice="choose another --workdir",
            )
    with contextlib.ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(path / LOCK))
            for part in path.glob(".*.part"):
                part.unlink()
            if folder.config.exists():
                folder.require_same_data(splits, data_digest)
            else:
                lists = {"digest": splits.digest, "data_digest": data_digest, "lists": splits.as_json()}
                write_json(folder.split, lists)
            # Last: a folder with a config.json has all that a resumed run looks for.
            write_json(folder.config, config)
        except BlockingIOError:
            raise UserError(
                f"another process is training in {path}",
                expected="one at a time",
                advice="wait for it, or choose another --workdir",
            ) from None
        except OSError as error:
            raise UserError(
                f"{path} cannot be written: {error.strerror}", advice="choose another --workdir"
            ) from None
        yield folder
