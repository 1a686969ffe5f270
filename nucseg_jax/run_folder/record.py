"""The record of a run: what its files held when a checkpoint was saved, and when the run ended.

One record travels inside each checkpoint; the last one is `record.json`, written just before results.json. All carry
their own SHA-256, so that a file that was altered is told from a record that was damaged.

{"step": 960, "config": {...}, "split_digest": "51c...", "data_digest": "0e4...", "scores": {"880": 0.89, "960": 0.88},
 "files": {"metrics.jsonl": {"bytes": 14020, "sha256": "77a..."}, ...}, "sha256": "<of all of this>"}
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Self

from nucseg_jax.config import may_change_on_resume
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.seal import FileDigest, file_digest, sealed, unsealed
from nucseg_jax.core.strict_json import JsonObject, read_json

UNCHECKED = (
    "written by an earlier version, which kept no digests: whether scores, split and results are as they were"
    " written cannot be checked"
)


class AlteredRunError(UserError):
    """A file of a run folder differs from what the run recorded."""


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """Facts about a run when the record was written.

    Attributes:
      source: of the record, in words, for messages: 'the checkpoint of step 960'.
      step: optimizer steps done.
      config: JSON values of the whole config.
      split_digest, data_digest: of the lists of patches, and of the data set; '' in records of earlier versions.
      scores: by step, those of every validation so far.
      files: {name in the run folder: length and SHA-256}, see `core.seal.file_digest`.
      is_sealed: whether the record holds its own digest; those of earlier versions hold none, nor all of the rest.
    """

    source: str
    step: int
    config: Mapping[str, Mapping[str, object]]
    split_digest: str
    data_digest: str = ""
    scores: Mapping[int, float] = dataclasses.field(default_factory=dict)
    files: Mapping[str, FileDigest] = dataclasses.field(default_factory=dict)
    is_sealed: bool = True

    @classmethod
    def from_json(cls, values: JsonObject, *, source: str, step: int, is_sealed: bool) -> Self:
        """The inverse of `as_json`, also of what an earlier version wrote.

        Raises:
          ValueError, TypeError, AttributeError: the values are shaped otherwise.
        """
        config = values.get("config", {})
        if not all(isinstance(fields, Mapping) for fields in config.values()):
            raise ValueError("its config is none")
        return cls(
            source=source,
            step=int(values.get("step", step)),
            config=config,
            split_digest=values.get("split_digest", ""),
            data_digest=values.get("data_digest", ""),
            scores={int(step): float(score) for step, score in values.get("scores", {}).items()},
            files=values.get("files", {}),
            is_sealed=is_sealed,
        )

    def as_json(self) -> JsonObject:
        """JSON values."""
        return {
            "step": self.step,
            "config": self.config,
            "split_digest": self.split_digest,
            "data_digest": self.data_digest,
            "scores": {str(step): score for step, score in self.scores.items()},
            "files": self.files,
        }

    def config_changes(self, config: Mapping[str, object]) -> list[str]:
        """Returns lines such as "train.dtype: 'float32' -> 'bfloat16'" for recorded fields that have another value.

        Fields that may change when a run is resumed may differ; those that the record lacks came with a later version.
        """
        changes = []
        for section, fields in self.config.items():
            now = config.get(section)
            for name, value in fields.items():
                found = now.get(name, "missing") if isinstance(now, Mapping) else "missing"
                is_same = found == value and isinstance(found, bool) == isinstance(value, bool)
                if not is_same and not may_change_on_resume(f"{section}.{name}"):
                    changes.append(f"{section}.{name}: {value!r} -> {found!r}")
        return changes

    def require_config(self, path: pathlib.Path, config: Mapping[str, object]) -> None:
        """Raises AlteredRunError if `config`, read from `path`, is another than the run was trained with."""
        changes = self.config_changes(config)
        if changes:
            raise AlteredRunError(
                f"{path} was altered; {self.source} was trained with another config: " + "; ".join(changes),
                expected="the config that train wrote",
                advice="put the old values back. Other eval.* fields are given to evaluate, with --config and"
                " --config.eval.FIELD=VALUE; any other field needs a run in another --workdir",
            )

    def differences_from(self, later: "RunRecord") -> list[str]:
        """Describes how this record of an earlier step contradicts a later one; two of one run never do."""
        changes = self.config_changes(later.config)
        changes += [
            f"{name}: {here[:12]} -> {there[:12]}"
            for name, here, there in (
                ("split", self.split_digest, later.split_digest),
                ("data set", self.data_digest, later.data_digest),
            )
            if here and there and here != there
        ]
        if later.is_sealed:
            changes += [
                f"Dice in validation at step {step:,}: {score} -> {later.scores.get(step, 'none')}"
                for step, score in self.scores.items()
                if later.scores.get(step) != score
            ]
        return changes

    def require_data(self, path: pathlib.Path, split_digest: str, data_digest: str) -> None:
        """Raises AlteredRunError if the digests, read from `path`, are not those the run was trained on."""
        for name, recorded, found in (
            ("split", self.split_digest, split_digest),
            ("data set", self.data_digest, data_digest),
        ):
            if found != recorded and (recorded or self.is_sealed):
                raise AlteredRunError(
                    f"{path} was altered: it names the {name} {found[:12]}, {self.source} the {name}"
                    f" {recorded[:12]}",
                    advice="restore the file that train wrote; without it nobody knows which patches were trained on",
                )

    def require_presence(self, path: pathlib.Path) -> None:
        """Raises AlteredRunError unless a file is there and as recorded, or neither there nor recorded."""
        if path.name in self.files and not path.exists():
            raise AlteredRunError(
                f"{path} is missing: {self.source} has it",
                expected=f"a file of {self.files[path.name]['bytes']:,} bytes",
                advice="restore it from a copy",
            )
        if path.exists() and self.is_sealed:
            self.require_file(path, advice="restore it from a copy")

    def require_file(
        self,
        path: pathlib.Path,
        *,
        may_be_longer: bool = False,
        advice: str = "restore it from a copy, or move it away",
    ) -> None:
        """Checks one file of the run folder against the record.

        Args:
          path: a file that exists.
          may_be_longer: lines were added since, which the record cannot know.
          advice: what to do about a file that is not as it was.

        Raises:
          AlteredRunError: it has other content than was recorded, or was not there then.
        """
        expected = self.files.get(path.name)
        if expected is None:
            raise AlteredRunError(
                f"{path} is in no record: it was not there when {self.source} was written",
                advice="move it away",
            )
        try:
            found = file_digest(path, int(expected["bytes"]) if may_be_longer else None)
        except OSError as error:
            raise AlteredRunError(
                f"{path} cannot be read: {error.strerror}",
                expected=f"a file of {expected['bytes']:,} bytes, as {self.source} has it",
                advice=advice,
            ) from None
        if found != expected:
            raise AlteredRunError(
                f"{path} was altered: it holds {found['bytes']:,} bytes with SHA-256 {str(found['sha256'])[:12]}",
                expected=f"{expected['bytes']:,} bytes with SHA-256 {expected['sha256'][:12]}, as {self.source} has it",
                advice=advice,
            )


def read_record_file(path: pathlib.Path) -> RunRecord:
    """Reads a record.json.

    Raises:
      AlteredRunError: it is damaged, altered or no record.
    """
    try:
        values = read_json(path)
        if not isinstance(values, dict):
            raise ValueError("it is no object")
        return RunRecord.from_json(unsealed(values), source=path.name, step=0, is_sealed=True)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise AlteredRunError(
            f"{path} is damaged: {reason_of(error)}",
            expected="the record that train wrote at the end",
            advice="restore it from a copy; or move it and results.json away and rerun the train command, which scores"
            " the best checkpoint again",
        ) from None


def sealed_record(record: RunRecord) -> dict[str, object]:
    """JSON values of a record with their own digest, as `read_record_file` reads them."""
    return sealed(record.as_json())


def digests_of(folder: pathlib.Path, patterns: Iterable[str]) -> dict[str, FileDigest]:
    """Digests of the files of a folder that match, by name."""
    return {
        path.name: file_digest(path)
        for pattern in patterns
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    }
