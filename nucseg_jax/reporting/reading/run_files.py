"""The files of a run folder, one by one: the content of each, if it is shaped as it should be; else an error."""

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
from nucseg_jax.evaluation.scores import OTHER_STATISTICS, conventions, is_loss
from nucseg_jax.reporting.reading.instance_entry import check_instances
from nucseg_jax.reporting.reading.run import Entry, Evaluation, at
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
    "head": (str,),
}


def read_object(file: pathlib.Path) -> Entry:
    """Reads a JSON object; ValueError if it is something else."""
    value = read_json(file)
    if not isinstance(value, Mapping):
        raise ValueError(f"a JSON {type(value).__name__} where an object was expected")
    return value


def read_environment(file: pathlib.Path) -> Entry:
    """Reads environment.json; ValueError if a value that is used is of another type."""
    environment = read_object(file)
    for names, kind in _ENVIRONMENT.items():
        value = at(environment, *names)
        if type(value) not in (kind, NoneType):
            raise ValueError(f"{'.'.join(names)} is {str(value)[:40]!r}, no {kind.__name__}")
    # A command line that no shell takes raises ValueError.
    shlex.split(environment.get("command") or "")
    return environment


def checked_results(value: Any, info: DatasetInfo) -> Entry:
    """Returns the value; ValueError unless it is shaped as results.json is."""
    if not isinstance(value, Mapping) or not value.keys() >= set(SPLIT_NAMES):
        raise ValueError(f"not the scores of {', '.join(SPLIT_NAMES)}")
    for split in SPLIT_NAMES:
        _check_entry(value[split], split, info)
    return value


def read_epochs(file: pathlib.Path, info: DatasetInfo) -> tuple[Entry, ...]:
    """Reads the epoch lines of metrics.jsonl, by epoch; UserError or ValueError if one is damaged."""
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
    """Reads timing.json; an error of some kind if it is shaped otherwise."""
    timing = read_object(file)
    starts, rows = timing["starts"], timing.get("inference") or []
    if not isinstance(starts, list) or not isinstance(rows, list):
        raise ValueError("its starts or inference times are no list")
    seconds = [value for start in starts for value in start.values() if not isinstance(value, str)]
    if not all(map(_is_time, seconds)):
        raise ValueError("a phase without its seconds")
    if not all(type(row["batch_size"]) is int and _is_time(row["ms_per_image"]) for row in rows):
        raise ValueError("an inference time that is no number")
    return timing


def read_evaluations(file: pathlib.Path, info: DatasetInfo) -> tuple[Evaluation, ...]:
    """Reads the splits of a results.json below evaluations/; ValueError if it is damaged or was altered."""
    value = read_object(file)
    # Those of earlier versions hold no digest.
    if SEAL in value:
        value = unsealed(value)
        for table in map(file.with_name, ("per_image.csv", "per_image_instances.csv")):
            if table.exists() and file_digest(table) != at(value, "files", table.name):
                raise ValueError(f"{table.name} beside it was altered")
    about = value.get("about")
    if not isinstance(about, Mapping):
        raise ValueError("it does not name what was scored")
    found = []
    for split in (name for name in SPLIT_NAMES if name in value):
        _check_entry(value[split], split, info)
        baselines = value.get("baselines") or {}
        of_split = {name: at(scores, split) for name, scores in baselines.items() if at(scores, split)}
        for name, entry in of_split.items():
            _check_entry(entry, name, info)
        found.append(Evaluation(split, value[split], of_split, about))
    return tuple(found)


def read_config(file: pathlib.Path) -> Mapping[str, Mapping[str, Any]]:
    """Reads config.json; UserError if it cannot be read, or is no config."""
    try:
        config = read_object(file)
        if not all(isinstance(fields, Mapping) for fields in config.values()):
            raise ValueError("its sections are no objects")
        model = config.get("model", {})
        if not all(
            re.fullmatch(r"[\w.+-]{1,80}", str(model.get(name, ""))) for name in ("encoder", "decoder")
        ):
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
        elif is_loss(key) and not _is_number(value, -_LARGEST_LOSS, _LARGEST_LOSS):
            raise ValueError(f"{name}, {key}: {str(value)[:40]!r} is no number")
        elif key in OTHER_STATISTICS:
            _check_entry(value, f"{name}, {key}", info)
        elif key == "instances":
            check_instances(value, name, info)
        elif key == "classes":
            if not isinstance(value, Mapping):
                raise ValueError(f"{name}, {key}: no object")
            for class_name, of_class in value.items():
                _check_entry(of_class, f"{name}, {class_name}", info)
    if "micro" not in entry:
        raise ValueError(f"the scores of {name} have no convention 'micro'")


def _is_number(value: Any, lowest: float, highest: float) -> bool:
    """Returns True for a number within limits, and for None: undefined."""
    return value is None or (type(value) in (int, float) and lowest <= value <= highest)


def _is_time(value: Any) -> bool:
    return value is not None and _is_number(value, 0, _LONGEST_S)
