"""The run folder: its files, and those that each start adds to."""

import dataclasses
import pathlib
from collections.abc import Collection, Mapping

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import write_json
from nucseg_jax.core.strict_json import JsonObject, read_json
from nucseg_jax.data import dataset_info
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.splits import Splits
from nucseg_jax.run_folder.record import RunRecord, read_record_file
from nucseg_jax.run_folder.saved_checkpoints import newest_record


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
    def dataset(self) -> pathlib.Path:
        """The description of the data set; runs of earlier versions, all on PanNuke's layout, have none."""
        return self.path / dataset_info.FILE_NAME

    @property
    def pretrained(self) -> pathlib.Path:
        """The origin of the encoder's first weights: the report of their conversion; absent from scratch."""
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
        """The final scores; its presence states that the run is finished."""
        return self.path / "results.json"

    @property
    def baselines(self) -> pathlib.Path:
        """Scores of Otsu's threshold on the test split; runs of earlier versions have none."""
        return self.path / "baselines.json"

    @property
    def nucleus_rule(self) -> pathlib.Path:
        """The definition of a nucleus, tuned on the validation split; runs without an instance head have none."""
        return self.path / "nucleus_rule.json"

    @property
    def temperature(self) -> pathlib.Path:
        """The temperature that was fitted on the validation split; only runs with eval.calibrate have one."""
        return self.path / "temperature.json"

    @property
    def stain(self) -> pathlib.Path:
        """The target of eval.stain_normalization, measured on the training split; runs without it have none."""
        return self.path / "stain.json"

    @property
    def record(self) -> pathlib.Path:
        """Digests of all these at the run's end, see `run_folder.record`; runs of earlier versions have none."""
        return self.path / "record.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Orbax checkpoints."""
        return (self.shared or self.path) / "checkpoints"

    @property
    def damaged_checkpoints(self) -> pathlib.Path:
        """Checkpoints that could not be read when the run was resumed; absent if there were none."""
        return (self.shared or self.path) / "damaged_checkpoints"

    @property
    def overlays(self) -> pathlib.Path:
        """Pictures of predictions."""
        return self.path / "overlays"

    @property
    def robustness(self) -> pathlib.Path:
        """Measurements on corrupted images, a folder for each split and its settings; absent where there are none."""
        return self.path / "robustness"

    @property
    def tensorboard(self) -> pathlib.Path:
        """Event files for TensorBoard."""
        return self.path / "tensorboard"

    def require_same_data(self, splits: Splits, data_digest: str, info: DatasetInfo) -> None:
        """Raises UserError unless the run was started on this data set, so described, and these splits."""
        own = self.read_info()
        # A run folder without a description is of a version that kept none: the digest tells its data set.
        changes = info_changes(own, info) if self.dataset.exists() else []
        if changes:
            raise UserError(
                f"{self.path} was started on a data set that is described otherwise: " + "; ".join(changes),
                expected=f"the data set that {self.dataset} describes",
                advice="point --config.data.dir at the data set the run was started on, or choose another"
                " --workdir",
            )
        stored, record = self.read_splits()
        if (stored.digest, record["data_digest"]) != (splits.digest, data_digest):
            raise UserError(
                f"{self.path} was started on another data set or split",
                expected=f"split {stored.digest[:12]}, data {record['data_digest'][:12]};"
                f" found split {splits.digest[:12]}, data {data_digest[:12]}",
                advice="point --config.data.dir at the data set the run was started on, or choose another"
                " --workdir",
            )

    def newest_record(self) -> RunRecord | None:
        """Reads the record that config, split and scores are checked against; None before the first checkpoint.

        Raises:
          AlteredRunError: there is no checkpoint, and record.json is damaged.
        """
        found = newest_record(self.checkpoints)
        if found is None and self.record.exists() and self.results.exists():
            return read_record_file(self.record)
        return found

    def record_start(self, environment: Mapping[str, object]) -> None:
        """Writes the environment of the first start; those of later ones are added under 'resumed'."""
        if self.environment.exists():
            first = _read_object(self.environment)
            environment = {**first, "resumed": [*first.get("resumed", []), environment]}
        write_json(self.environment, environment)
        timing = self._read_timing()
        timing["starts"].append({})
        write_json(self.timing, timing)

    def record_timing(self, seconds: dict[str, float], program_from: str | None) -> None:
        """Writes this start's wall seconds by phase, and whence its program came, in place of what was there."""
        start: dict[str, float | str] = {name: round(value, 3) for name, value in seconds.items()}
        if program_from is not None:
            start["program_from"] = program_from
        timing = self._read_timing()
        timing["starts"] = [*timing["starts"][:-1], start]
        write_json(self.timing, timing)

    def program_seconds(self) -> float | None:
        """Returns how long the newest start that is recorded waited for its training step's program; None before."""
        for start in reversed(self._read_timing()["starts"]):
            if isinstance(start, dict) and isinstance(start.get("program"), int | float):
                return float(start["program"])
        return None

    def record_inference(self, entries: list[dict[str, float | int]]) -> None:
        """Writes milliseconds an image, see `evaluation.inference_time`."""
        write_json(self.timing, {**self._read_timing(), "inference": entries})

    def _read_timing(self) -> JsonObject:
        if not self.timing.exists():
            return {"starts": []}
        timing = _read_object(self.timing)
        if not isinstance(timing.get("starts"), list):
            raise UserError(f"{self.timing} is damaged: it has no list of starts", advice=_MOVE_AWAY)
        return timing

    def read_pretrained(self) -> JsonObject:
        """Reads pretrained.json; empty where there is none.

        Raises:
          UserError: it is damaged, or was altered, added or removed since: the newest record has another.
        """
        self._require_as_recorded(self.pretrained)
        return _read_object(self.pretrained) if self.pretrained.exists() else {}

    def read_stain(self) -> JsonObject | None:
        """Reads stain.json; None where there is none.

        Raises:
          UserError: it is damaged, or was altered, added or removed since: the newest record has another.
        """
        self._require_as_recorded(self.stain)
        return _read_object(self.stain) if self.stain.exists() else None

    def read_fitted(self, path: pathlib.Path) -> JsonObject | None:
        """Reads `nucleus_rule` or `temperature` of a finished run; None where there is none.

        Raises:
          UserError: it is damaged, or was altered or removed since the run ended.
        """
        # Without results it is a leftover of an end that was cut off.
        if not (self.results.exists() and self.record.exists()):
            return None
        read_record_file(self.record).require_presence(path)
        return _read_object(path) if path.exists() else None

    def require_run(self) -> None:
        """Raises UserError unless this is the folder of a run: a run of an earlier version may lack any other file."""
        if not self.config.exists():
            raise UserError(
                f"{self.path} is no run: it has no {self.config.name}"
                if self.path.exists()
                else f"there is no run folder {self.path}",
                expected="the folder of a training run",
                advice="give the --workdir of a training run",
            )

    def read_info(self) -> DatasetInfo:
        """Reads the description of the data set that the run was started on; PanNuke's where it has none.

        Raises:
          UserError: this is no run folder; or the description is damaged, or was altered, added or removed since: the
            newest record has another.
        """
        self.require_run()
        self._require_as_recorded(self.dataset)
        return dataset_info.read_info(self.path) or PANNUKE

    def _require_as_recorded(self, path: pathlib.Path) -> None:
        newest = self.newest_record()
        if newest is not None:
            newest.require_presence(path)

    def read_splits(self) -> tuple[Splits, JsonObject]:
        """Reads the lists the run was started with, and the rest of split.json.

        Raises:
          UserError: missing, or altered since: its digest does not match, or the newest record has others.
        """
        try:
            stored = read_json(self.split)
            splits = Splits.from_json(stored["lists"])
            recorded = stored["digest"], stored["data_digest"]
        except OSError as error:
            raise UserError(
                f"{self.split} cannot be read: {error.strerror}", expected="the folder of a training run"
            ) from None
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise UserError(
                f"{self.split} cannot be read: {reason_of(error)}", expected="the file that train wrote"
            ) from None
        if splits.digest != recorded[0]:
            raise UserError(
                f"{self.split} was altered: its lists no longer match their digest",
                advice="restore the file; without it nobody knows which patches were trained on",
            )
        newest = self.newest_record()
        if newest is not None:
            newest.require_data(self.split, splits.digest, stored["data_digest"])
        return splits, stored


def info_changes(run: DatasetInfo, found: DatasetInfo, *, ignored: Collection[str] = ()) -> list[str]:
    """Lists how the description of a data set differs from the run's in what results depend on.

    Args:
      run: the run's own.
      found: the data set's at hand.
      ignored: some of 'classes', 'groups', 'patch_px', 'microns_per_px' and 'has_void'.

    Returns:
      Lines such as "patch_px: 256 -> 128"; classes are compared by their names and order.
    """

    def facts(info: DatasetInfo) -> dict[str, object]:
        return {
            "classes": list(info.class_names),
            "groups": [info.group_noun, *info.groups],
            "patch_px": info.patch_px,
            "microns_per_px": info.microns_per_px,
            "has_void": info.has_void,
        }

    before, now = facts(run), facts(found)
    return [
        f"{name}: {value} -> {now[name]}"
        for name, value in before.items()
        if name not in ignored and value != now[name]
    ]


_MOVE_AWAY = "restore it from a copy, or move it away; it holds no scores"


def _read_object(path: pathlib.Path) -> JsonObject:
    """Reads a JSON object that a start of the run wrote.

    Raises:
      UserError: it is damaged.
    """
    try:
        value = read_json(path)
        if not isinstance(value, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {reason_of(error)}", advice=_MOVE_AWAY) from None
    return value
