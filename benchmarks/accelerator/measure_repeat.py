"""The command `train` on a narrow model, deterministic: twice, and once more stopped and resumed, to the last bit."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.accelerator.commands import LONGEST_COMMAND_S, CommandError, last_words, run_command
from benchmarks.accelerator.ledger import Ledger, OutOfTimeError
from benchmarks.accelerator.measure_feeds import MODEL, data_flags, prepare
from benchmarks.accelerator.page import row_table
from benchmarks.accelerator.settings import LAUNCH, ROOT, Settings, environment

# A run's numbers; metrics.jsonl beside them has rates too.
SAME = ("results.json", "per_image_test.csv", "per_image_train.csv", "per_image_validation.csv", "split.json")
METRICS, RATE = "metrics.jsonl", "images_per_second"
TWICE, RESUMED = "trained twice", "stopped and resumed"
ROWS = (TWICE, RESUMED)
POLL_S = 0.005
FLAGS = (
    *("--config.train.deterministic=True", "--config.mesh.data=1", "--config.train.epochs=2"),
    *("--config.train.batch_size=16", "--config.train.steps_per_dispatch=1"),
    *("--config.train.log_every_steps=1", "--config.eval.overlays=0", "--config.eval.time_inference=False"),
)


def measure(settings: Settings, ledger: Ledger) -> None:
    """Trains four times at most; small on every device, since equality is asked for and not speed."""
    small = dataclasses.replace(settings, small=True)
    ledger.note(asked=list(ROWS))
    folder = pathlib.Path(settings.scratch) / "repeat"
    ledger.row(TWICE, lambda: trained_twice(small, ledger, folder))
    ledger.row(RESUMED, lambda: stopped_and_resumed(small, ledger, folder))


def trained_twice(settings: Settings, ledger: Ledger, folder: pathlib.Path) -> dict[str, Any]:
    """Returns the row of two runs of one command."""
    prepare(settings, ledger)
    for name in ("first", "second"):
        shutil.rmtree(folder / name, ignore_errors=True)
        train(settings, ledger, folder / name)
    return compared(TWICE, folder / "first", folder / "second")


def stopped_and_resumed(settings: Settings, ledger: Ledger, folder: pathlib.Path) -> dict[str, Any]:
    """Returns the row of a run that was told to leave after its first step, beside one that was not."""
    unbroken, resumed = folder / "first", folder / "resumed"
    if not (unbroken / "results.json").exists():
        prepare(settings, ledger)
        train(settings, ledger, unbroken)
    shutil.rmtree(resumed, ignore_errors=True)
    step = stop_in_the_middle(settings, ledger, resumed)
    train(settings, ledger, resumed)
    return {**compared(RESUMED, unbroken, resumed), "stopped_at_step": step}


def command_of(settings: Settings, workdir: pathlib.Path) -> tuple[list[str], dict[str, str]]:
    """Returns the command of a run, and its environment."""
    command = [
        *(*LAUNCH, "train", f"--config={ROOT / 'configs' / MODEL}.py", f"--workdir={workdir}"),
        *data_flags(settings),
        *settings.shrunk(MODEL),
        *FLAGS,
    ]
    cache = os.path.join(settings.scratch, "repeat_jax")
    return command, environment(settings, JAX_COMPILATION_CACHE_DIR=cache)


def train(settings: Settings, ledger: Ledger, workdir: pathlib.Path) -> None:
    """Runs or resumes a run to its end."""
    command, variables = command_of(settings, workdir)
    run_command(command, ledger, variables)


def stop_in_the_middle(settings: Settings, ledger: Ledger, workdir: pathlib.Path) -> int:
    """Tells a run to leave once a step is logged.

    Returns:
      The step that it saved.

    Raises:
      CommandError: it did not leave as one that is to be resumed.
      OutOfTimeError: the step's time was over before.
    """
    from nucseg_jax.core.errors import STATUS_TO_REQUEUE

    command, variables = command_of(settings, workdir)
    metrics, deadline = workdir / METRICS, time.monotonic() + LONGEST_COMMAND_S

    def has_logged() -> bool:
        return metrics.exists() and '"kind": "train"' in metrics.read_text(encoding="utf-8")

    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=ROOT, env=variables, start_new_session=True
        )
        is_told = False
        try:
            while process.poll() is None:
                if ledger.seconds_left <= 0:
                    raise OutOfTimeError
                if time.monotonic() > deadline:
                    raise CommandError(f"it did not leave within {LONGEST_COMMAND_S:g} s")
                if not is_told and has_logged():
                    process.send_signal(signal.SIGTERM)
                    is_told = True
                time.sleep(POLL_S)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode == 0:
        raise CommandError("the run was over before it could be told to leave")
    if process.returncode != STATUS_TO_REQUEUE:
        raise CommandError(f"told to leave, it ended with status {process.returncode}: {last_words(said)}")
    steps = [int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit()]
    if not steps:
        raise CommandError("told to leave, it left no checkpoint")
    return max(steps)


def compared(name: str, first: pathlib.Path, second: pathlib.Path) -> dict[str, Any]:
    """Returns the row of two finished run folders, in the form of a file of tests.

    Args:
      name: of the row.
      first: what is expected.
      second: what should be equal to it.

    Returns:
      `passed`, `skipped`, `failures` ({name: what differs}), `logged_steps` and, where they differ, `failed`.
    """
    different = [each for each in SAME if (first / each).read_bytes() != (second / each).read_bytes()]
    ours, theirs = logged(first), logged(second)
    if ours != theirs:
        pairs = enumerate(zip(ours, theirs, strict=False))
        line = next((number for number, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
        different.append(f"{METRICS} from line {line + 1:,}")
    row: dict[str, Any] = {
        "passed": int(not different),
        "skipped": 0,
        "failures": {name: f"not equal: {', '.join(different)}"} if different else {},
        "logged_steps": sum(line.get("kind") == "train" for line in ours),
    }
    return {**row, "failed": row["failures"][name]} if different else row


def logged(workdir: pathlib.Path) -> Sequence[Mapping[str, Any]]:
    """Returns the lines of a run's metrics.jsonl without its rates."""
    from nucseg_jax.run_folder.metrics_log import read_metrics

    lines = read_metrics(workdir / METRICS)
    return [{name: value for name, value in line.items() if name != RATE} for line in lines]


def lines(result: Mapping[str, Any]) -> list[str]:
    """Returns a table of the two comparisons."""
    columns = [
        ("equal", "passed", ""),
        ("steps", "logged_steps", ",.0f"),
        ("stopped at step", "stopped_at_step", ",.0f"),
        ("s", "seconds", ".0f"),
    ]
    return [
        "Narrow DeepLabV3+ ResNet-50, painted tiles of 64 px, `train.deterministic`. Compared to the last bit: losses",
        "and gradient norm of every step, scores of every epoch, results, scores of every image.",
        "",
        *row_table(result, "run", columns),
    ]
