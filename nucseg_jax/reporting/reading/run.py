"""A run folder as a report reads it: whatever is whole, and in words whatever is not.

Only `config.json` and `split.json` are needed. Any other file may be absent (an unfinished run, an older one) or
damaged; the first leaves None or nothing, the second a sentence in `faults` as well.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.evaluation.calibration import calibration_path, read_levels
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image
from nucseg_jax.evaluation.scores import CONVENTIONS
from nucseg_jax.reporting.table import OTHER_STATISTICS
from nucseg_jax.training.record import read_metrics
from nucseg_jax.training.run_folder import RunFolder

Entry = Mapping[str, Any]
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `evaluate` left in a run folder.

    Attributes:
      file: inside the run folder.
      split: which one.
      entry: scores, as in results.json.
      baselines: {name: {convention: {metric: value}}}.
      about: what was scored, and how.
    """

    file: str
    split: str
    entry: Entry
    baselines: Mapping[str, Entry]
    about: Entry


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A run folder; equal to itself alone.

    Attributes:
      path: as it was given.
      config: {section: {field: value}}.
      split_digest, data_digest: equal in runs that can be compared.
      sizes: patches by split.
      environment: of the first start; empty if unknown.
      weights: what the encoder started from; None from scratch, or unknown.
      epochs: the epoch lines of metrics.jsonl.
      results: of results.json; None while the run is not finished.
      timing: of timing.json; empty if unknown.
      counts: of every split that has its table of counts.
      calibration: int64 [256, 2] by split, pixels of background and nucleus by predicted level.
      evaluations: of the same data and split.
      faults: what could not be read, and why.
    """

    path: pathlib.Path
    config: Mapping[str, Mapping[str, Any]]
    split_digest: str
    data_digest: str
    sizes: Mapping[str, int]
    environment: Entry
    weights: Entry | None
    epochs: tuple[Entry, ...]
    results: Entry | None
    timing: Entry
    counts: Mapping[str, Counts]
    calibration: Mapping[str, np.ndarray]
    evaluations: tuple[Evaluation, ...]
    faults: tuple[str, ...]

    @property
    def seed(self) -> Any:
        """Of the run."""
        return at(self.config, "train", "seed")

    @property
    def planned_epochs(self) -> Any:
        """How long it was meant to be."""
        return at(self.config, "train", "epochs")

    @property
    def state(self) -> str:
        """In words."""
        if self.results is not None:
            return "finished"
        if self.is_damaged("results.json"):
            return "without usable results"
        if self.epochs:
            return f"unfinished, epoch {self.epochs[-1]['epoch']} of {self.planned_epochs}"
        return "unfinished, before the end of epoch 1"

    @property
    def commit(self) -> str:
        """Short, with a plus where files were changed; '–' if unknown."""
        commit, dirty = at(self.environment, "git", "commit"), at(self.environment, "git", "dirty")
        return f"{str(commit)[:7]}{'+' if dirty else ''}" if commit else "–"

    @property
    def device(self) -> str:
        """Number and kind; '–' if unknown."""
        jax = at(self.environment, "jax")
        kind, count = at(jax, "device_kind"), at(jax, "device_count")
        if not kind:
            return "–"
        cores = at(self.environment, "cpu_count")
        return f"{count} x {kind}" + (f", {cores} cores" if kind == "cpu" and cores else "")

    @property
    def command(self) -> str:
        """What started it; '' if unknown."""
        command = at(self.environment, "command")
        return f"python {command}" if isinstance(command, str) and command else ""

    def is_damaged(self, file: str) -> bool:
        """Whether something is wrong with this file of the folder."""
        return any(fault.startswith(f"{file}: ") for fault in self.faults)

    def score(self, split: str, convention: str, metric: str) -> float | None:
        """Of results.json."""
        return at(self.results, split, convention, metric)

    def chosen_epoch(self) -> int | None:
        """The epoch whose checkpoint was scored: the last with the highest micro Dice in validation."""
        scores = [(at(line, "validation", "micro", "dice") or 0.0, line["epoch"]) for line in self.epochs]
        return max(scores)[1] if scores else None


def at(value: Any, *names: str) -> Any:
    """A value inside nested mappings; None where the way ends."""
    for name in names:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def read_run(path: pathlib.Path) -> Run:
    """Reads a run folder.

    Raises:
      UserError: it is none, or its config or split cannot be read.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        raise UserError("no config.json: not the folder of a run")
    config = _read_config(folder.config)
    splits, record = folder.read_splits()
    files = _Files(path)
    counts = {
        split: files.read(
            per_image_path(path, split),
            _counts_of(getattr(splits, split), at(config, "model", "num_classes")),
            None,
        )
        for split in SPLIT_NAMES
    }
    calibration = {
        split: files.read(calibration_path(path, split), read_levels, None) for split in SPLIT_NAMES
    }
    nothing: tuple[Evaluation, ...] = ()
    evaluations = [
        evaluation
        for file in sorted(path.glob("evaluations/*/results.json"))
        for evaluation in files.read(file, lambda file: read_evaluations(file, path), nothing)
    ]
    results = files.read(folder.results, lambda file: checked_results(read_json(file)), None)
    run = Run(
        path=path,
        config=config,
        split_digest=splits.digest,
        data_digest=str(record["data_digest"]),
        sizes={split: len(getattr(splits, split)) for split in SPLIT_NAMES},
        environment=files.read(folder.environment, read_object, {}),
        weights=files.read(folder.pretrained, read_object, None),
        epochs=files.read(folder.metrics, read_epochs, ()),
        results=results,
        timing=files.read(folder.timing, read_timing, {}),
        counts={split: found for split, found in counts.items() if found is not None},
        calibration={split: found for split, found in calibration.items() if found is not None},
        evaluations=tuple(
            evaluation
            for evaluation in evaluations
            if evaluation.about.get("split_digest") == splits.digest
            and evaluation.about.get("data_digest") == record["data_digest"]
        ),
        faults=tuple(files.faults),
    )
    return dataclasses.replace(run, faults=(*run.faults, *contradictions(run)))


class _Files:
    """Reads files that may be absent or damaged, and keeps what was wrong with them."""

    def __init__(self, run: pathlib.Path):
        self._run = run
        self.faults: list[str] = []

    def read(self, file: pathlib.Path, read: Callable[[pathlib.Path], T], otherwise: T) -> T:
        """What `read` makes of a file; `otherwise` where it is absent, or damaged, which is noted."""
        if not file.exists():
            return otherwise
        try:
            return read(file)
        except (OSError, UserError, ValueError, KeyError, TypeError, IndexError) as error:
            reason = reason_of(error)
            self.faults.append(f"{file.relative_to(self._run)}: {reason.removeprefix(f'{file} ')}")
            return otherwise


def _counts_of(patches: np.ndarray, classes: int | None) -> Callable[[pathlib.Path], Counts | None]:
    """A reader of per-image counts that wants them to be of these patches, in this order, and so many classes."""

    def read(file: pathlib.Path) -> Counts | None:
        found, listed = read_per_image(file)
        if not np.array_equal(listed, patches):
            raise ValueError(f"its {len(listed)} patches are not the {len(patches)} of split.json")
        counted = found.counts.shape[1]
        if classes is not None and counted != classes:
            raise ValueError(f"its {counted} counted classes are not the {classes} of config.json")
        return found

    return read


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


def _read_config(file: pathlib.Path) -> Mapping[str, Mapping[str, Any]]:
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
        elif (key in ("loss", "l2_penalty") or key.endswith("_loss")) and not _is_score(value):
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


def contradictions(run: Run) -> list[str]:
    """Splits whose table of counts does not give the scores of results.json."""
    if run.results is None:
        return []
    faults = []
    for split, counts in run.counts.items():
        if _differ(counts.compute(), run.results[split]):
            faults.append(f"per_image_{split}.csv: its counts do not give the scores in results.json")
    return faults


def _differ(computed: Entry, written: Entry) -> bool:
    """Whether an entry of results.json has other micro scores, of nucleus or of a class, than were computed."""
    micro = computed["micro"]
    if any(micro[metric] != value for metric, value in written["micro"].items() if metric in micro):
        return True
    classes = computed.get("classes", {})
    return any(
        _differ(classes[name], of_class)
        for name, of_class in written.get("classes", {}).items()
        if name in classes
    )
