"""The files of a run folder, one by one: what each holds, if it is shaped as it should be."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.scores import CONVENTIONS
from nucseg_jax.reporting.reading.run import Entry, Evaluation, at
from nucseg_jax.reporting.table import OTHER_STATISTICS
from nucseg_jax.training.record import read_metrics


def read_json(file: pathlib.Path) -> Any:
    """Strict JSON.

    Raises:
      ValueError: it is none.
    """

    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse)


def read_object(file: pathlib.Path) -> Entry:
    """A JSON object.

    Raises:
      ValueError: it is something else.
    """
    value = read_json(file)
    if not isinstance(value, Mapping):
        raise ValueError(f"a JSON {type(value).__name__} where an object was expected")
    return value


def checked_results(value: Any) -> Entry:
    """The value, if it is shaped as results.json is.

    Raises:
      ValueError: it is not.
    """
    if not isinstance(value, Mapping) or not value.keys() >= set(SPLIT_NAMES):
        raise ValueError(f"not the scores of {', '.join(SPLIT_NAMES)}")
    for split in SPLIT_NAMES:
        _check_entry(value[split], split)
    return value


def read_epochs(file: pathlib.Path) -> tuple[Entry, ...]:
    """The epoch lines of metrics.jsonl, by epoch.

    Raises:
      UserError, ValueError: a line is damaged.
    """
    lines = [line for line in read_metrics(file) if line.get("kind") == "epoch"]
    for line in lines:
        if not isinstance(line.get("epoch"), int):
            raise ValueError("an epoch line without its epoch")
        for name in ("train", "validation"):
            _check_entry(line.get(name), name)
    return tuple(sorted(lines, key=lambda line: line["epoch"]))


def read_timing(file: pathlib.Path) -> Entry:
    """Content of timing.json.

    Raises:
      ValueError, KeyError, TypeError: not shaped so.
    """
    timing = read_object(file)
    starts = timing["starts"]
    if not isinstance(starts, list) or not all(isinstance(start, Mapping) for start in starts):
        raise ValueError("its starts are no list of phases")
    for row in timing.get("inference") or []:
        int(row["batch_size"]), float(row["ms_per_image"])
    return timing


def read_evaluations(file: pathlib.Path, run: pathlib.Path) -> tuple[Evaluation, ...]:
    """What one results.json below evaluations/ says of each split.

    Raises:
      ValueError: it is damaged.
    """
    value = read_object(file)
    about = value.get("about")
    if not isinstance(about, Mapping):
        raise ValueError("it does not say what was scored")
    found = []
    for split in SPLIT_NAMES:
        if split not in value:
            continue
        _check_entry(value[split], split)
        baselines = value.get("baselines") or {}
        of_split = {name: at(scores, split) for name, scores in baselines.items() if at(scores, split)}
        for name, entry in of_split.items():
            _check_entry(entry, name)
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
        if not isinstance(at(config, "model", "encoder"), str) or not isinstance(
            at(config, "model", "decoder"), str
        ):
            raise ValueError("it names no model")
    except (OSError, ValueError) as error:
        raise UserError(f"config.json: {error}") from None
    return config


def _check_entry(entry: Any, name: str) -> None:
    """Raises ValueError unless an entry holds mappings of numbers under the names of conventions."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"the scores of {name} are no object")
    for key, value in entry.items():
        if key in CONVENTIONS:
            if not isinstance(value, Mapping) or not all(map(_is_score, value.values())):
                raise ValueError(f"{name}, {key}: not a table of numbers")
        elif (key in ("loss", "l2_penalty") or key.endswith(("_loss", "_with_nuclei"))) and not _is_score(
            value
        ):
            raise ValueError(f"{name}, {key}: {value!r} is no number")
        elif key in OTHER_STATISTICS:
            _check_entry(value, f"{name}, {key}")
        elif key == "classes":
            if not isinstance(value, Mapping):
                raise ValueError(f"{name}, {key}: no object")
            for class_name, of_class in value.items():
                _check_entry(of_class, f"{name}, {class_name}")
    if "micro" not in entry:
        raise ValueError(f"the scores of {name} have no convention 'micro'")


def _is_score(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
