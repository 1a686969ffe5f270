"""The files of a run folder, one by one: what each holds, if it is shaped as it should be."""

import pathlib
import re
import shlex
from collections.abc import Mapping
from types import NoneType
from typing import Any

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.seal import SEAL, file_digest, unsealed
from nucseg_jax.core.strict_json import read_json
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.scores import conventions
from nucseg_jax.reporting.reading.run import Entry, Evaluation, at
from nucseg_jax.reporting.table import OTHER_STATISTICS
from nucseg_jax.run_folder.metrics_log import read_metrics

# The largest float32: no loss exceeds it.
_LARGEST_LOSS = 3.5e38
_MOST_EPOCHS = 10**6
_LONGEST_S = 1e9
# What the page uses of environment.json, each where it is known.
_ENVIRONMENT: Mapping[tuple[str, ...], type] = {
    ("command",): str,
    ("cpu_count",): int,
    ("git", "commit"): str,
    ("git", "dirty"): bool,
    ("jax", "device_kind"): str,
    ("jax", "device_count"): int,
    ("started_from", "config"): str,
    ("started_from", "overrides"): dict,
    ("started_from", "sweep", "label"): str,
    ("started_from", "sweep", "file"): str,
    ("started_from", "sweep", "index"): int,
}
# What the name of a model is made of.
_MODEL: Mapping[str, tuple[type, ...]] = {
    "width": (float, int),
    "encoder_depths": (list,),
    "output_stride": (int,),
    "num_classes": (int,),
}


def read_object(file: pathlib.Path) -> Entry:
    """A JSON object.

    Raises:
      ValueError: it is something else.
    """
    value = read_json(file)
    if not isinstance(value, Mapping):
        raise ValueError(f"a JSON {type(value).__name__} where an object was expected")
    return value


def read_environment(file: pathlib.Path) -> Entry:
    """Content of environment.json.

    Raises:
      ValueError: a value that is used is of another type.
    """
    environment = read_object(file)
    for names, kind in _ENVIRONMENT.items():
        value = at(environment, *names)
        if type(value) not in (kind, NoneType):
            raise ValueError(f"{'.'.join(names)} is {str(value)[:40]!r}, no {kind.__name__}")
    # A command line that no shell takes raises ValueError.
    shlex.split(environment.get("command") or "")
    return environment


def checked_results(value: Any, info: DatasetInfo) -> Entry:
    """The value, if it is shaped as results.json is.

    Raises:
      ValueError: it is not.
    """
    if not isinstance(value, Mapping) or not value.keys() >= set(SPLIT_NAMES):
        raise ValueError(f"not the scores of {', '.join(SPLIT_NAMES)}")
    for split in SPLIT_NAMES:
        _check_entry(value[split], split, info)
    return value


def read_epochs(file: pathlib.Path, info: DatasetInfo) -> tuple[Entry, ...]:
    """The epoch lines of metrics.jsonl, by epoch.

    Raises:
      UserError, ValueError: a line is damaged.
    """
    lines = [line for line in read_metrics(file) if line.get("kind") == "epoch"]
    for line in lines:
        epoch = line.get("epoch")
        if type(epoch) is not int or not 1 <= epoch <= _MOST_EPOCHS:
            raise ValueError("an epoch line without its epoch")
        for name in ("train", "validation"):
            _check_entry(line.get(name), name, info)
    if len({line["epoch"] for line in lines}) < len(lines):
        raise ValueError("an epoch has two lines")
    return tuple(sorted(lines, key=lambda line: line["epoch"]))


def read_timing(file: pathlib.Path) -> Entry:
    """Content of timing.json.

    Raises:
      ValueError, KeyError, TypeError, AttributeError: not shaped so.
    """
    timing = read_object(file)
    starts, rows = timing["starts"], timing.get("inference") or []
    if not isinstance(starts, list) or not isinstance(rows, list):
        raise ValueError("its starts or inference times are no list")
    seconds = [value for start in starts for value in start.values() if not isinstance(value, str)]
    if not all(map(_is_time, seconds)):
        raise ValueError("a phase without its seconds")
    for row in rows:
        if type(row["batch_size"]) is not int or not _is_time(row["ms_per_image"]):
            raise ValueError("an inference time that is no number")
    return timing


def read_evaluations(file: pathlib.Path, run: pathlib.Path, info: DatasetInfo) -> tuple[Evaluation, ...]:
    """What one results.json below evaluations/ says of each split.

    Raises:
      ValueError: it is damaged, or was altered.
    """
    value = read_object(file)
    # Those of earlier versions hold no digest.
    if SEAL in value:
        value = unsealed(value)
        table = file.with_name("per_image.csv")
        if table.exists() and file_digest(table) != at(value, "files", table.name):
            raise ValueError(f"{table.name} beside it was altered")
    about = value.get("about")
    if not isinstance(about, Mapping):
        raise ValueError("it does not say what was scored")
    found = []
    for split in SPLIT_NAMES:
        if split not in value:
            continue
        _check_entry(value[split], split, info)
        baselines = value.get("baselines") or {}
        of_split = {name: at(scores, split) for name, scores in baselines.items() if at(scores, split)}
        for name, entry in of_split.items():
            _check_entry(entry, name, info)
        found.append(Evaluation(str(file.relative_to(run)), split, value[split], of_split, about))
    return tuple(found)


def read_config(file: pathlib.Path) -> Mapping[str, Mapping[str, Any]]:
    """Content of config.json.

    Raises:
      UserError: it cannot be read, or is no config.
    """
    try:
        config = read_object(file)
        if not all(isinstance(fields, Mapping) for fields in config.values()):
            raise ValueError("its sections are no objects")
        model = config.get("model", {})
        for name in ("encoder", "decoder"):
            if not re.fullmatch(r"[\w.+-]{1,80}", str(model.get(name, ""))):
                raise ValueError("it names no model")
        for name, kinds in _MODEL.items():
            if name in model and type(model[name]) not in kinds:
                raise ValueError(f"model.{name} is {str(model[name])[:40]!r}")
    except (OSError, ValueError) as error:
        raise UserError(f"config.json: {reason_of(error)}") from None
    return config


def _check_entry(entry: Any, name: str, info: DatasetInfo) -> None:
    """Raises ValueError unless an entry holds mappings of numbers under the names of conventions."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"the scores of {name} are no object")
    for key, value in entry.items():
        if key in conventions(info):
            if not isinstance(value, Mapping) or not all(_is_number(score, 0, 1) for score in value.values()):
                raise ValueError(f"{name}, {key}: not a table of scores from 0 to 1")
        elif (key == "l2_penalty" or key.endswith(("loss", "_with_nuclei"))) and not _is_number(
            value, -_LARGEST_LOSS, _LARGEST_LOSS
        ):
            raise ValueError(f"{name}, {key}: {str(value)[:40]!r} is no number")
        elif key in OTHER_STATISTICS:
            _check_entry(value, f"{name}, {key}", info)
        elif key == "classes":
            if not isinstance(value, Mapping):
                raise ValueError(f"{name}, {key}: no object")
            for class_name, of_class in value.items():
                _check_entry(of_class, f"{name}, {class_name}", info)
    if "micro" not in entry:
        raise ValueError(f"the scores of {name} have no convention 'micro'")


def _is_number(value: Any, lowest: float, highest: float) -> bool:
    """A finite number within limits, or None: undefined."""
    return value is None or (type(value) in (int, float) and lowest <= value <= highest)


def _is_time(value: Any) -> bool:
    return value is not None and _is_number(value, 0, _LONGEST_S)
