"""`train --sweep --executor=local`: the rows of a sweep on this machine, one by one or concurrently."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nucseg_jax.cli.sweep import FINISHED, SweepRun, row_state, shown_test_dice
from nucseg_jax.cli.table import render
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import STATUS_TO_REQUEUE
from nucseg_jax.runtime.command_job import CommandJob

POLL_S = 0.2
FAILED, PREEMPTED = "failed", "preempted"


class RunningRow(NamedTuple):
    """A row's process.

    Attributes:
      job: its command.
      process: that runs it.
      slot: 0 to jobs - 1.
      began_s: by the monotonic clock.
      log_begins: bytes of the log that earlier starts wrote.
    """

    job: CommandJob
    process: subprocess.Popen[bytes]
    slot: int
    began_s: float
    log_begins: int


def run_locally(run: SweepRun, *, jobs: int) -> bool:
    """Runs the rows that have no results, `jobs` at once; when this process is interrupted, they end with it.

    Each is a separate process, so that a row that fails or runs out of memory leaves the others alone. With
    several devices in CUDA_VISIBLE_DEVICES each of the rows that run at once gets its share of them.

    Returns:
      True if all rows of the sweep are finished.

    Raises:
      UserError: a folder that is not this sweep's.
    """
    run.claim()
    waiting = run.missing()
    rows = run.sweep.rows
    print(f"sweep     {run.sweep.file}: {counted(len(rows), 'row')}, {len(rows) - len(waiting)} finished")
    print(f"running   {counted(len(waiting), 'row')}, {jobs} at once")
    print(f"folders   {run.root}/LABEL, what a row prints in {run.root}/LABEL.log\n", flush=True)
    devices = devices_by_slot(os.environ.get("CUDA_VISIBLE_DEVICES"), jobs)
    running: dict[int, RunningRow] = {}
    unfinished: dict[int, str] = {}
    free = list(range(jobs))
    width = max(len(row.label) for row in rows)

    def report(index: int, text: str) -> None:
        print(f"{index:>{len(str(len(rows) - 1))}}  {rows[index].label:<{width}}  {text}", flush=True)

    with noted_endings() as came:
        try:
            while waiting or running:
                leave_if_asked(came)
                while waiting and free:
                    index, slot = waiting.pop(0), free.pop(0)
                    report(index, "resumes" if run.folder(index).config.exists() else "begins")
                    running[index] = start_row(run, index, slot, devices[slot])
                time.sleep(POLL_S)
                for index in [index for index, row in running.items() if row.process.poll() is not None]:
                    ended = running.pop(index)
                    free.append(ended.slot)
                    ended.job.record_end(ended.process.returncode)
                    took = f"{(time.monotonic() - ended.began_s) / 60:6.1f} min"
                    if not ended.process.returncode and row_state(run.root, rows[index]) == FINISHED:
                        report(
                            index, f"finished {took}  test micro Dice {shown_test_dice(run.folder(index))}"
                        )
                        continue
                    is_preempted = ended.process.returncode == STATUS_TO_REQUEUE
                    unfinished[index] = PREEMPTED if is_preempted else FAILED
                    error = last_error(run.log(index), ended.log_begins)
                    report(index, f"{unfinished[index]:<8} {took}  {error}")
        finally:
            end_rows(list(running.values()))
    print_end(run, unfinished)
    return not unfinished


def start_row(run: SweepRun, index: int, slot: int, devices: str | None) -> RunningRow:
    """Starts a row with its share of the devices."""
    log = run.log(index)
    log_begins = log.stat().st_size if log.exists() else 0
    job = run.job(index, {"CUDA_VISIBLE_DEVICES": devices})
    with children_without_sigint():
        return RunningRow(job, job.start(), slot, time.monotonic(), log_begins)


def print_end(run: SweepRun, unfinished: Mapping[int, str]) -> None:
    """Prints the table of all rows, and where to look for those that did not finish.

    Args:
      run: the sweep.
      unfinished: {index of a row that ran: how it ended}.
    """
    rows = [
        (
            index,
            row.label,
            unfinished.get(index) or row_state(run.root, row),
            shown_test_dice(run.folder(index)),
        )
        for index, row in enumerate(run.sweep.rows)
    ]
    print("\n" + render(("index", "label", "state", "test micro Dice"), rows))
    if unfinished:
        print(f"\n{counted(len(unfinished), 'row')} of {len(rows)} did not finish; what they printed:")
        for index in sorted(unfinished):
            print(f"  {run.log(index)}")
        print("Rerun the same command to run them alone, each from its last checkpoint if it has one.")


def devices_by_slot(visible: str | None, jobs: int) -> list[str | None]:
    """Returns CUDA_VISIBLE_DEVICES for each of the rows that run concurrently.

    Args:
      visible: its value here; None = not set.
      jobs: number of rows that run concurrently.

    Returns:
      The devices that each has to itself, or all if there are fewer devices than rows.

    >>> devices_by_slot("0,1,2,3", 2)
    ['0,2', '1,3']
    """
    devices = (visible or "").split(",")
    if len(devices) < jobs:
        return [visible] * jobs
    return [",".join(devices[slot::jobs]) if visible else visible for slot in range(jobs)]


def last_error(log: pathlib.Path, begin: int) -> str:
    """Returns the line of a log that says why the command failed: its last 'error: ', or else its last line.

    Args:
      log: the file; what follows a traceback is one line too.
      begin: bytes that earlier starts wrote.
    """
    if not log.exists():
        return "it printed nothing"
    lines = [line.strip() for line in log.read_bytes()[begin:].decode("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it printed nothing"])[-1]


def end_rows(rows: list[RunningRow]) -> None:
    """Has rows save and end (SIGTERM), and waits until they have."""
    for row in rows:
        row.process.terminate()
    for row in rows:
        row.job.record_end(row.process.wait())


@contextlib.contextmanager
def noted_endings() -> Iterator[list[int]]:
    """Notes SIGINT and SIGTERM inside the block, where they do nothing else.

    An exception from a signal can come up in the middle of whatever code is running, and be lost there.
    """
    came: list[int] = []
    before = {
        ending: signal.signal(ending, lambda number, _: came.append(number))
        for ending in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield came
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)


def leave_if_asked(came: list[int]) -> None:
    """Raises what a signal that was noted stands for."""
    if signal.SIGINT in came:
        raise KeyboardInterrupt
    if came:
        sys.exit(128 + came[0])


@contextlib.contextmanager
def children_without_sigint() -> Iterator[None]:
    """Keeps SIGINT from processes that start in the block.

    Ctrl-C reaches every process of a terminal, and rows would end without saving. This way it reaches this process,
    which ends them in order.
    """
    # Inherited by what starts here; handlers are not.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
