"""`predict` from a tiled TIFF to masks and tables, beside the model's bare rate: `benchmarks/predict.py`."""

import json
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.accelerator.commands import run_command
from benchmarks.accelerator.ledger import Ledger
from benchmarks.accelerator.measure_run import EPOCHS, trained
from benchmarks.accelerator.page import row_table
from benchmarks.accelerator.settings import ROOT, Settings, environment

# 20,224 px as in docs/speed.md; 5,120 px first, for what the time may not allow.
SIZES = (5_120, 20_224)
MICRONS_PER_PX = 0.25


def measure(settings: Settings, ledger: Ledger) -> None:
    """Measures images of rising size with the model of the step `run`, which finds it trained."""
    workdir = pathlib.Path(settings.scratch) / f"run_{EPOCHS}"
    ledger.row("a model", lambda: trained(settings, ledger, workdir, epochs=EPOCHS))
    for size in (512,) if settings.small else SIZES[:1] if settings.device == "cpu" else SIZES:
        ledger.row(f"{size:,} px a side", lambda size=size: predict(settings, ledger, workdir, size))


def predict(settings: Settings, ledger: Ledger, workdir: pathlib.Path, size: int) -> dict[str, Any]:
    """Returns what `benchmarks/predict.py` measures, seconds a square millimetre, and the time the device waits."""
    command = [sys.executable, str(ROOT / "benchmarks" / "predict.py"), "--one", f"--workdir={workdir}"]
    command += [f"--sizes={size}", f"--bare-s={settings.seconds}"]
    variables = environment(settings, PYTHONPATH=str(ROOT))
    printed = run_command(command, ledger, variables, longest_s=1200)
    row = next(line for line in printed.splitlines() if line.startswith("ROW "))
    found: dict[str, Any] = json.loads(row.removeprefix("ROW "))
    square_mm = (size * MICRONS_PER_PX / 1000) ** 2
    return {
        **found,
        "seconds_per_mm2": found["seconds"] / square_mm,
        "waiting": max(0.0, 1 - found["efficiency"]),
    }


def lines(result: Mapping[str, Any]) -> list[str]:
    """Returns a table of the images."""
    rows = {name: row for name, row in result.get("rows", {}).items() if name != "a model"}
    columns = [
        ("tiles", "tiles", ",.0f"),
        ("tiles/s", "tiles_per_second", ",.4g"),
        ("bare tiles/s, before", "bare_before", ",.4g"),
        ("after", "bare_after", ",.4g"),
        ("s per mm2", "seconds_per_mm2", ".3g"),
        ("the device waits", "waiting", ".0%"),
        ("peak, MiB", "peak_mib", ",.0f"),
    ]
    return row_table({"rows": rows}, "image", columns)
