"""A finished robustness measurement: summary.json, written last and sealed, and the files beside it.

    {"format": 1, "about": {"split": "test", "kinds": [...], "run": {a run's record}, ...},
     "cells": [{"model": "run", "data": "test", "kind": "noise", "severity": 3, "dice_micro": 0.81, ...}, ...],
     "means": {"run": {"calibration_error": {"clean": 0.02, "mean_corrupted": 0.05}, ...}},
     "corruptions": {"run": {"clean": {"estimate": 0.85, "low": 0.84, "high": 0.86}, ...}, "worst_kind": "jpeg", ...},
     "shifts": {"data_dir/other": {"data_name": "other", "images": 30, "run": {...}, ...}},
     "files": {"cells.csv": {"bytes": 4020, "sha256": "77a..."}, ...}, "sha256": "<of all of this>"}

`about` holds what the cells of the run depend on, and the records of the checkpoints that were scored, by which the
measurement is matched to a run folder, wherever the two lie.
"""

import dataclasses
import math
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import write_json
from nucseg_jax.core.seal import SEAL, FileDigest, file_digest, sealed, unsealed
from nucseg_jax.core.strict_json import JsonObject, read_json
from nucseg_jax.ops.corruptions.kinds import KINDS

# Raised with every change of what summary.json holds or means.
FORMAT = 1
SUMMARY, SCORES, STRIPS = "summary.json", "scores", "strips"
_ROWS = ("estimate", "low", "high")
# What readers take from `about`.
_ABOUT = (
    *("split", "kinds", "images", "is_seen", "views", "run", "baseline", "checkpoint_step"),
    *("data_name", "data_digest", "patches_digest", "nucseg_jax", "source_digest"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Measurement:
    """The content of a finished measurement.

    Attributes:
      folder: that was read.
      about: what was scored: split, kinds, records of the checkpoints, data, versions.
      cells: a row of scores for each cell of each model and data set.
      means: {model: {score: {clean, mean_corrupted}}}.
      corruptions: see `summary.summarise`.
      shifts: by the name that --data gave, the same for other data sets as they are.
      digest: SHA-256 of all this; equal in copies.
    """

    folder: pathlib.Path
    about: Mapping[str, Any]
    cells: tuple[Mapping[str, Any], ...]
    means: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    corruptions: Mapping[str, Any]
    shifts: Mapping[str, Mapping[str, Any]]
    digest: str

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds that were measured, in the order of `KINDS`."""
        return tuple(self.about["kinds"])

    @property
    def has_baseline(self) -> bool:
        """Returns True if another run was scored beside this one."""
        return self.about["baseline"] is not None

    def strip(self, kind: str) -> pathlib.Path:
        """Returns the picture of a kind."""
        return strip_path(self.folder, kind)


def strip_path(folder: pathlib.Path, kind: str) -> pathlib.Path:
    """Returns the path of the picture of a kind."""
    return folder / STRIPS / f"{kind}.png"


def write_measurement(
    folder: pathlib.Path, outcome: Mapping[str, Any], files: Iterable[pathlib.Path]
) -> None:
    """Writes summary.json, which only a finished measurement has.

    Args:
      folder: of the measurement.
      outcome: `about`, `cells`, `means`, `corruptions` and `shifts`, JSON values.
      files: below the folder, all written; their digests are kept.
    """
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    write_json(folder / SUMMARY, sealed({"format": FORMAT, **outcome, "files": digests}))


def read_measurement(folder: pathlib.Path) -> Measurement:
    """Reads a finished measurement, and holds the files beside it against their digests.

    Raises:
      UserError: it is no measurement, or an unfinished, damaged or altered one, or of another version.
    """
    path = folder / SUMMARY
    if not path.exists():
        if (folder / SCORES).is_dir():
            raise UserError(
                f"{folder} is unfinished: it has no {SUMMARY}; rerun the robustness command that began it"
            )
        raise UserError(f"{folder} holds no robustness measurement: it has no {SUMMARY}")
    try:
        values = read_json(path)
        if not isinstance(values, dict):
            raise ValueError("it is no object")
        found = values.get("format")
        if found != FORMAT or isinstance(found, bool):
            raise UserError(
                f"{path} is of another version of this package (format {str(found)[:20]}, this one reads {FORMAT});"
                " measure again into another folder"
            )
        measurement = _checked(folder, unsealed(values), digest=str(values[SEAL]))
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged: {reason_of(error)}; remove it and rerun the same robustness command"
        ) from None
    for name, digest in values["files"].items():
        _require_file(folder / name, digest)
    return measurement


def _require_file(path: pathlib.Path, digest: FileDigest) -> None:
    advice = "remove it and rerun the same robustness command"
    if not path.exists():
        raise UserError(f"{path} is missing; rerun the same robustness command")
    try:
        found = file_digest(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason_of(error)}; {advice}") from None
    if found != digest:
        raise UserError(f"{path} was altered since {SUMMARY} was written; {advice}")


def _checked(folder: pathlib.Path, values: JsonObject, digest: str) -> Measurement:
    """Raises an error of some kind unless all that readers take is there, in shape and in range."""
    about, corruptions, shifts = values["about"], values["corruptions"], values["shifts"]
    names = {"clean", *about["kinds"]}
    if not names <= {"clean", *KINDS} or not isinstance(about["split"], str):
        raise ValueError("it names kinds that this version does not have")
    missing = [name for name in _ABOUT if name not in about]
    if missing:
        raise ValueError(f"it does not tell {', '.join(missing)}")
    _check_compared(corruptions)
    worst = corruptions.get("worst_kind")
    if worst is not None and worst not in corruptions["run"]:
        raise ValueError("its worst kind was not measured")
    if about["baseline"] is not None and not isinstance(about["baseline"]["path"], str):
        raise ValueError("its baseline has no path")
    if (about["baseline"] is not None) != ("difference" in corruptions):
        raise ValueError("its baseline and its differences do not agree")
    for data, shift in shifts.items():
        if not isinstance(data, str) or not isinstance(shift["data_name"], str) or shift["images"] < 1:
            raise ValueError("a row of other data is none")
        _check_compared(shift)
    for cell in values["cells"]:
        _check_share(cell["dice_micro"])
        if cell["kind"] not in names or cell["severity"] not in range(6):
            raise ValueError("a cell is none")
        if cell["severity"] and not (
            isinstance(cell["unit"], str) and isinstance(cell["value"], int | float)
        ):
            raise ValueError("a cell has no strength")
    if {cell["kind"] for cell in values["cells"]} != names:
        raise ValueError("cells of a kind are missing")
    for of_model in values["means"].values():
        for means in of_model.values():
            _check_share(means["clean"])
            _check_share(means["mean_corrupted"])
    if not all(isinstance(name, str) and ".." not in name for name in values["files"]):
        raise ValueError("a file's name is none")
    return Measurement(
        folder=folder,
        about=about,
        cells=tuple(values["cells"]),
        means=values["means"],
        corruptions=corruptions,
        shifts=shifts,
        digest=digest,
    )


def _check_compared(found: Mapping[str, Any]) -> None:
    blocks = [found[block] for block in ("run", "baseline", "difference") if block in found]
    entries = [entry for block in blocks for entry in block.values()]
    for entry in [*entries, *([found["mce"]] if "mce" in found else [])]:
        for row in _ROWS:
            if entry[row] is not None and not math.isfinite(entry[row]):
                raise ValueError("an interval is none")
    found["run"]["clean"]


def _check_share(value: Any) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"a score is {str(value)[:40]!r}")
