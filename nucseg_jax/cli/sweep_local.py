"""`train --sweep --executor=local`: the rows of a sweep on this machine, one by one or together."""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import time

from nucseg_jax.cli.sweep import FINISHED, SweepRun, row_state, shown_test_dice
from nucseg_jax.cli.table import render
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import STATUS_TO_REQUEUE, reason_of

POLL_S = 0.2


def run_locally(run: SweepRun, *, jobs: int) -> bool:
    """Runs the rows that have no results, `jobs` together, each in a process with its share of the CUDA devices.

    SIGINT and SIGTERM are passed on as SIGTERM: the rows save and end, then this process.

    Returns:
      True if all rows of the sweep are finished.

    Raises:
      UserError: a folder that is not this sweep's.
    """
    missing, rows = run.claim(), run.sweep.rows
    print(f"running   {counted(len(missing), 'row')}, {jobs} together")
    print(f"folders   {run.root}/LABEL, the output of a row in {run.root}/LABEL.log\n", flush=True)
    unfinished, signals = asyncio.run(_train_rows(run, missing, jobs))
    if signal.SIGINT in signals:
        raise KeyboardInterrupt
    if signals:
        sys.exit(128 + signals[0])
    table = [
        (
            index,
            row.label,
            unfinished.get(index) or row_state(run.root, row),
            shown_test_dice(run.folder(index)),
        )
        for index, row in enumerate(rows)
    ]
    print("\n" + render(("index", "label", "state", "test micro Dice"), table))
    if unfinished:
        print(f"\n{counted(len(unfinished), 'row')} of {len(rows)} did not finish; their logs:")
        print("\n".join(f"  {run.job(index).log}" for index in sorted(unfinished)))
        print("Rerun the same command to run them alone, each from its last checkpoint if it has one.")
    return not unfinished


async def _train_rows(run: SweepRun, indices: list[int], jobs: int) -> tuple[dict[int, str], list[int]]:
    """Returns the state of each row that ran and did not finish, and the signals that ended the sweep."""
    unfinished: dict[int, str] = {}
    signals: list[int] = []
    processes: list[subprocess.Popen[bytes]] = []
    shares: asyncio.Queue[str | None] = asyncio.Queue()
    for share in device_shares(os.environ.get("CUDA_VISIBLE_DEVICES"), jobs):
        shares.put_nowait(share)
    width = max(len(row.label) for row in run.sweep.rows)

    async def train_row(index: int) -> None:
        share = await shares.get()
        if not signals:
            name = f"{index:>{len(str(len(run.sweep.rows) - 1))}}  {run.sweep.rows[index].label:<{width}}"
            print(f"{name}  {'resumes' if run.folder(index).config.exists() else 'begins'}", flush=True)
            began_s = time.monotonic()
            try:
                state, text = await end_of(index, share)
            except OSError as error:
                state, text = "failed", f"{run.job(index).log}: {reason_of(error)}"
            print(f"{name}  {state:<9}{(time.monotonic() - began_s) / 60:6.1f} min  {text}", flush=True)
            if state != FINISHED:
                unfinished[index] = state
        shares.put_nowait(share)

    async def end_of(index: int, share: str | None) -> tuple[str, str]:
        job = run.job(index)
        log_begins = job.log.stat().st_size if job.log.exists() else 0
        # Ctrl-C reaches every process of a terminal, and rows would end without saving; the mask is inherited.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = job.start(share)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        processes.append(process)
        while process.poll() is None:
            await asyncio.sleep(POLL_S)
        job.record_end(process.returncode)
        if process.returncode == 0 and row_state(run.root, run.sweep.rows[index]) == FINISHED:
            return FINISHED, f"test micro Dice {shown_test_dice(run.folder(index))}"
        state = "preempted" if process.returncode == STATUS_TO_REQUEUE else "failed"
        return state, last_error(job.log, log_begins)

    def end_rows(number: int) -> None:
        signals.append(number)
        for process in processes:
            process.terminate()

    # The loop calls handlers between its steps: no row starts unseen, and no exception comes up inside one.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end_rows, number)
    await asyncio.gather(*map(train_row, indices))
    return unfinished, signals


def device_shares(visible: str | None, jobs: int) -> list[str | None]:
    """Returns CUDA_VISIBLE_DEVICES for each of the rows that run together; all devices if there are fewer than rows.

    >>> device_shares("0,1,2,3", 2)
    ['0,2', '1,3']
    """
    devices = (visible or "").split(",")
    if not visible or len(devices) < jobs:
        return [visible] * jobs
    return [",".join(devices[slot::jobs]) for slot in range(jobs)]


def last_error(log: pathlib.Path, begin: int) -> str:
    """Returns the last line of a log after byte `begin` with 'error: ', or else its last line after the command."""
    text = log.read_bytes()[begin:].decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()[1:] if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it printed nothing"])[-1]
