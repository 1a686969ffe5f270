"""Runs the steps one after the other, each in a process of its own that ends at its bound, and keeps the record.

The record and its page are written when a step begins, while it runs and when it ends; a kill at any moment leaves both
whole. The same call again resumes where the last one stopped.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.accelerator import ledger
from benchmarks.accelerator.page import page
from benchmarks.accelerator.record import NAME, PAGE, Record, fit_into, read_record
from benchmarks.accelerator.settings import ROOT, Settings
from benchmarks.accelerator.steps import Step
from nucseg_jax.core.files import write_json, write_text

# Of its bound: a step begins no row after it, so that it ends by itself.
OWN_SHARE = 0.95
POLL_S = 0.1
PUBLISH_EVERY_S = 5.0
# From the signal that lets a step clean up to the one that ends it.
PATIENCE_S = 3.0
# Less is not worth another start.
LEAST_S = 5.0


def run(
    steps: Sequence[Step],
    settings: Settings,
    *,
    minutes: float,
    only: str | None = None,
    retry: bool = False,
    say: Callable[[str], None] = print,
) -> Record:
    """Runs the steps that are not finished yet.

    Args:
      steps: in order.
      settings: of all of them.
      minutes: for all of them together.
      only: name of the one to run; None = all.
      retry: measure failed rows again.
      say: takes lines for the terminal.

    Returns:
      The record, as it lies in `settings.out`.

    Raises:
      UserError: the folder holds a record of another device or size.
    """
    out = pathlib.Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    record = read_record(out, settings, [step.name for step in steps])
    deadline = time.monotonic() + 60 * minutes
    publish(record, out, steps)
    for index, step in enumerate(steps):
        if only not in (None, step.name):
            continue
        entry = record["steps"][step.name]
        if (retry or step.is_required) and entry["outcome"] == "failed":
            ledger.forget_failures(_result_file(out, step))
            entry.pop("result", None)
        if is_finished(entry):
            say(f"{step.name}: {entry['outcome']} before, kept")
            continue
        ahead = [each for each in steps[index:] if not is_finished(record["steps"][each.name])]
        shares = sum(each.share for each in ahead) if only is None else step.share
        left = deadline - time.monotonic()
        if left < LEAST_S:
            say(f"{step.name}: no time left; rerun the same command to resume")
            continue
        bound_s = left * step.share / shares
        say(f"{step.name}: begins, at most {bound_s:.0f} s")
        run_step(step, settings, bound_s, entry, lambda: publish(record, out, steps))
        publish(record, out, steps)
        reason = f": {entry['failed']}" if entry["failed"] else ""
        say(f"{step.name}: {entry['outcome']} after {entry['seconds']:.0f} s{reason}")
        if step.is_required and entry["outcome"] != "done":
            say(f"the other steps need {step.name}")
            break
    return record


def is_finished(entry: dict[str, Any]) -> bool:
    """Returns True for a step that has nothing left to measure, though some of its rows may have failed."""
    return bool(entry["outcome"] == "done" or entry.get("result", {}).get("complete"))


def _result_file(out: pathlib.Path, step: Step) -> pathlib.Path:
    return out / "steps" / f"{step.name}.json"


def run_step(
    step: Step, settings: Settings, bound_s: float, entry: dict[str, Any], changed: Callable[[], None]
) -> None:
    """Runs one step and fills its entry of the record.

    Args:
      step, settings: what to run.
      bound_s: seconds after which its processes are ended.
      entry: gets `outcome`, `failed`, `seconds`, `bound_s` and `result`; changed in place.
      changed: called when the entry has.
    """
    out = pathlib.Path(settings.out)
    result, log = _result_file(out, step), out / "logs" / f"{step.name}.txt"
    for path in (result, log):
        path.parent.mkdir(exist_ok=True)
    # Of a call that was killed itself.
    ledger.settle(result, reason=None)
    entry.update(outcome="running", failed=None, bound_s=round(bound_s, 1), result=ledger.read_result(result))
    changed()
    start = time.monotonic()

    def update() -> None:
        found = ledger.read_result(result)
        if found != entry["result"]:
            entry["result"] = found
            changed()

    while True:
        left = bound_s - (time.monotonic() - start)
        status = _process(step, settings, result, log, left, update)
        reason = None if status is None else f"the process ended with status {status}: {_last_line(log)}"
        has_row = ledger.settle(result, reason=reason)
        left = bound_s - (time.monotonic() - start)
        goes_on = status == ledger.RESTART or (has_row and status is not None)
        if not (goes_on and left >= LEAST_S):
            break
    entry["result"] = ledger.read_result(result)
    entry["seconds"] = round(time.monotonic() - start, 1)
    entry["outcome"], entry["failed"] = _outcome(entry["result"], status, _last_line(log), bound_s)


def _outcome(
    result: dict[str, Any], status: int | None, last_line: str, bound_s: float
) -> tuple[str, str | None]:
    """Returns the outcome of a step, and why it failed."""
    rows = list(result["rows"].items())
    failures = [f"{name}: {row.get('failed')}" for name, row in rows if row.get("outcome") == "failed"]
    if result.get("skipped"):
        return "skipped", str(result["skipped"])
    if result.get("failed"):
        return "failed", str(result["failed"])
    if status in (None, ledger.OUT_OF_TIME):
        done = sum(row.get("outcome") not in ("cut", "running") for _, row in rows)
        more = f"; {len(failures)} failed: {failures[0]}" if failures else ""
        ended = "ended" if status is None else "out of time"
        return "out of time", f"{ended} at its bound of {bound_s:.0f} s with {done} measured{more}"
    if failures:
        return "failed", f"{len(failures)} of {len(rows)} failed: {failures[0]}"
    if status != ledger.COMPLETE:
        return "failed", f"the process ended with status {status}: {last_line}"
    return "done", None


def _process(
    step: Step,
    settings: Settings,
    result: pathlib.Path,
    log: pathlib.Path,
    left: float,
    update: Callable[[], None],
) -> int | None:
    """Runs a process of the step; returns its exit status, None if it was ended at the bound."""
    command = [sys.executable, "-m", "benchmarks.accelerator.worker", step.module]
    command += [json.dumps(dataclasses.asdict(settings)), str(result), str(OWN_SHARE * left)]
    deadline, published = time.monotonic() + left, time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
        )
        try:
            while (status := process.poll()) is None and time.monotonic() < deadline:
                time.sleep(POLL_S)
                if time.monotonic() - published > PUBLISH_EVERY_S:
                    published = time.monotonic()
                    update()
        finally:
            _end(process)
    return status


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and its group: first so that it may clean up."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
    # Whatever it started and left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _last_line(log: pathlib.Path) -> str:
    lines = log.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else "it printed nothing"


def publish(record: Record, out: pathlib.Path, steps: Sequence[Step]) -> None:
    """Writes the record and its page, and removes what goes beyond the size that the folder may have."""
    removed = fit_into(out)
    if removed:
        record["removed"] = sorted({*record.get("removed", []), *removed})
    write_json(out / NAME, record)
    write_text(out / PAGE, page(record, steps))
