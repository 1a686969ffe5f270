"""A trace of three training steps and three evaluation steps, and the kernels that took most of it."""

import collections
import gzip
import json
import pathlib
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.accelerator.commands import CommandError, profiled
from benchmarks.accelerator.ledger import Ledger
from benchmarks.accelerator.page import row_table
from benchmarks.accelerator.settings import Settings

DEAREST = 10
# Larger ones stay in the scratch folder.
MOST_TRACE_BYTES = 3_000_000
# Of a device's threads, those that repeat what the others hold in larger pieces.
SUMS = ("XLA Modules", "Steps", "Framework", "Source", "TensorFlow", "XLA TraceMe")


def measure(settings: Settings, ledger: Ledger) -> None:
    """Traces each model and keeps its dearest kernels; a trace that is small enough stays beside the page."""
    for model in settings.models[:1] if settings.small else settings.models:
        ledger.row(model, lambda model=model: trace(settings, ledger, model))


def trace(settings: Settings, ledger: Ledger, model: str) -> dict[str, Any]:
    """Returns `kernels`, name and milliseconds and share of each, and `traced_ms`, the sum over all kernels."""
    folder = pathlib.Path(settings.scratch) / "trace" / model
    shutil.rmtree(folder, ignore_errors=True)
    on_cpu = settings.device == "cpu"
    flags = [
        *("--feeds=synthetic", f"--batch_sizes={2 if on_cpu else 8}", "--config.train.steps_per_dispatch=1"),
        f"--dtypes={'float32' if on_cpu else 'bfloat16'}",
        f"--trace={folder}",
    ]
    # XLA replays no command buffers while it is traced: what is shown is not launched as in the rates.
    profiled(settings, ledger, model, flags)
    files = sorted(folder.rglob("*.trace.json.gz"))
    if not files:
        raise CommandError("no trace was written")
    with gzip.open(files[-1], "rt", encoding="utf-8") as file:
        events = json.load(file).get("traceEvents", [])
    if files[-1].stat().st_size <= MOST_TRACE_BYTES:
        shutil.copyfile(files[-1], pathlib.Path(settings.out) / f"{model}.trace.json.gz")
    return dearest(events)


def dearest(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the kernels that took longest.

    Args:
      events: `traceEvents` of a trace in Chrome's format: on an accelerator those of its processes ('/device:...')
        count, on a CPU, which has none, those that name their operation.

    Returns:
      As `trace`.

    Raises:
      CommandError: no kernel is among them.
    """
    events = list(events)
    devices, sums = set(), set()
    for event in events:
        if event.get("ph") == "M":
            name = str(event.get("args", {}).get("name", ""))
            if event.get("name") == "process_name" and name.startswith("/device:") and "CPU" not in name:
                devices.add(event.get("pid"))
            if event.get("name") == "thread_name" and name.startswith(SUMS):
                sums.add((event.get("pid"), event.get("tid")))
    total: collections.Counter[str] = collections.Counter()
    calls: collections.Counter[str] = collections.Counter()
    for event in events:
        if event.get("ph") != "X" or (event.get("pid"), event.get("tid")) in sums:
            continue
        if event.get("pid") in devices if devices else "hlo_op" in event.get("args", {}):
            # Programs number their kernels each for itself.
            program = event.get("args", {}).get("hlo_module")
            name = f"{program}: {event.get('name')}"[:120] if program else str(event.get("name"))[:120]
            total[name] += event.get("dur", 0.0)
            calls[name] += 1
    if not total:
        raise CommandError("the trace holds no kernel")
    whole = sum(total.values())
    kernels = [
        {"name": name, "ms": micros / 1e3, "share": micros / whole, "calls": calls[name]}
        for name, micros in total.most_common(DEAREST)
    ]
    return {"kernels": kernels, "traced_ms": whole / 1e3, "names": len(total)}


def lines(result: Mapping[str, Any]) -> list[str]:
    """Returns a table of kernels for each model."""
    shown: list[str] = []
    for model, row in result.get("rows", {}).items():
        if row.get("outcome") != "done":
            shown += ["", f"{model}: {row.get('outcome')}: {row.get('failed')}"]
            continue
        kernels = {each["name"]: {**each, "outcome": "done"} for each in row["kernels"]}
        columns = [("ms", "ms", ".3g"), ("share", "share", ".1%"), ("calls", "calls", "")]
        shown += ["", f"{model}: {row['traced_ms']:.4g} ms in {row['names']} kinds of kernel", ""]
        shown += row_table({"rows": kernels}, "kernel", columns)
    return shown[1:]
