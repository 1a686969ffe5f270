"""A run folder as a report sees it."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.robustness.measurement import Measurement
from nucseg_jax.run_folder.record import RunRecord

Entry = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores that `evaluate` left: of a split as in results.json, of baselines by name, and what was scored, how."""

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
      info: of the data set: names of classes and groups, scale.
      split_digest, data_digest: equal in runs that can be compared.
      sizes: patches by split.
      environment: of the first start; empty if unknown.
      weights: what the encoder started from; None from scratch, or unknown.
      epochs: the epoch lines of metrics.jsonl.
      results: of results.json; None while the run is not finished.
      timing: of timing.json; empty if unknown.
      counts: of every split that has its table of counts.
      instances: counts of nuclei, of every split that has its table of them.
      calibration: int64 [256, 2] by split, pixels of background and nucleus by predicted level.
      evaluations: of the same data and split.
      faults: what could not be read or was altered, and why.
      is_checked: whether the run recorded digests that its files were held against; those of earlier versions did not.
      record: of the finished run, or of the newest checkpoint; None where neither is there.
      measurements: on corrupted images and on other data sets, of the run's best checkpoint.
    """

    path: pathlib.Path
    config: Mapping[str, Mapping[str, Any]]
    info: DatasetInfo
    split_digest: str
    data_digest: str
    sizes: Mapping[str, int]
    environment: Entry
    weights: Entry | None
    epochs: tuple[Entry, ...]
    results: Entry | None
    timing: Entry
    counts: Mapping[str, Counts]
    instances: Mapping[str, InstanceCounts]
    calibration: Mapping[str, np.ndarray]
    evaluations: tuple[Evaluation, ...]
    faults: tuple[str, ...]
    is_checked: bool
    record: RunRecord | None = None
    measurements: tuple[Measurement, ...] = ()

    @property
    def seed(self) -> Any:
        """The seed of the run."""
        return at(self.config, "train", "seed")

    @property
    def state(self) -> str:
        """The state of the run, in words."""
        if self.results is not None:
            return "finished"
        if self.is_damaged("results.json"):
            return "without usable results"
        if self.epochs:
            return f"unfinished, epoch {self.epochs[-1]['epoch']} of {at(self.config, 'train', 'epochs')}"
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
        return f"{count} x {kind}" + (f", {counted(cores, 'core')}" if kind == "cpu" and cores else "")

    @property
    def command(self) -> str:
        """The command that started it; '' if unknown."""
        command = at(self.environment, "command")
        return f"python {command}" if isinstance(command, str) and command else ""

    def is_damaged(self, file: str) -> bool:
        """Returns True if something is wrong with this file of the folder."""
        return any(fault.startswith(f"{file}: ") for fault in self.faults)

    def score(self, split: str, convention: str, metric: str) -> float | None:
        """Returns a score of results.json."""
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
