"""A run that is watched, and its comparison with one that nothing befell."""

import pathlib
import subprocess
import time
from collections.abc import Callable

from nucseg_jax.run_folder.metrics_log import read_metrics

SAME = ("results.json", "per_image_test.csv", "per_image_train.csv", "per_image_validation.csv", "split.json")


def logged_steps(workdir: pathlib.Path) -> int:
    """Steps that a run with a line a step has logged so far."""
    metrics = workdir / "metrics.jsonl"
    return metrics.read_text().count('"kind": "train"') if metrics.exists() else 0


def wait_until(process: subprocess.Popen, reached: Callable[[], bool], *, seconds: float = 300) -> None:
    """Returns as soon as `reached()`; fails if the process ends before, or takes too long."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def without_times(workdir: pathlib.Path) -> list[dict]:
    """The lines of metrics.jsonl without what differs from run to run."""
    lines = read_metrics(workdir / "metrics.jsonl")
    return [{name: value for name, value in line.items() if name != "images_per_second"} for line in lines]


def assert_same_end(run: pathlib.Path, unbroken: pathlib.Path) -> None:
    """All numbers of two runs are equal to the last bit."""
    for name in SAME:
        assert (run / name).read_bytes() == (unbroken / name).read_bytes(), name
    assert without_times(run) == without_times(unbroken)
