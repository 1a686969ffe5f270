"""The paper's whole run, extrapolated from three epochs on painted patches; and both dtypes to their Dice."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from benchmarks.accelerator.commands import run_command
from benchmarks.accelerator.ledger import Ledger
from benchmarks.accelerator.measure_feeds import MODEL, data_flags, prepare
from benchmarks.accelerator.page import row_table
from benchmarks.accelerator.settings import LAUNCH, ROOT, Settings, environment

# Of the paper: patches of a training split, epochs.
PAPER_PATCHES, PAPER_EPOCHS = 4_297, 120
EPOCHS = 3
DTYPES = ("float32", "bfloat16")
DICE_EPOCHS = 20
# Of timing.json: what every epoch takes again.
PHASES = ("training", "validation", "checkpoints")


def measure(settings: Settings, ledger: Ledger) -> None:
    """Measures the epochs first; the two runs to their Dice take what time is left."""
    scratch = pathlib.Path(settings.scratch)
    ledger.row(
        f"{EPOCHS} epochs", lambda: trained(settings, ledger, scratch / f"run_{EPOCHS}", epochs=EPOCHS)
    )
    epochs = 2 if settings.small else DICE_EPOCHS
    for dtype in DTYPES:
        ledger.row(
            f"Dice, {dtype}",
            lambda dtype=dtype: trained(
                settings, ledger, scratch / f"run_{dtype}", f"--config.train.dtype={dtype}", epochs=epochs
            ),
        )


def trained(
    settings: Settings, ledger: Ledger, workdir: pathlib.Path, *flags: str, epochs: int
) -> dict[str, Any]:
    """Trains MODEL on painted patches; a run that is there is resumed, or read if it is whole.

    Returns:
      `epoch_s`, seconds an epoch with its validation and checkpoint, without the compilation of the step; `paper_s`,
      those of the paper's run at that rate; `dice`, micro Dice of the test split; `train_patches`.
    """
    prepare(settings, ledger)
    dtype = [] if flags or settings.device == "cpu" else ["--config.train.dtype=bfloat16"]
    command = [
        *(*LAUNCH, "train", f"--config={ROOT / 'configs' / MODEL}.py", f"--workdir={workdir}"),
        *data_flags(settings),
        *settings.shrunk(MODEL),
        *dtype,
        *flags,
        *("--config.mesh.data=1", f"--config.train.epochs={epochs}", "--config.train.lr=0.001"),
        *("--config.eval.overlays=0", "--config.eval.time_inference=False"),
    ]
    run_command(command, ledger, environment(settings), longest_s=900)
    return read_run(workdir, epochs)


def read_run(workdir: pathlib.Path, epochs: int) -> dict[str, Any]:
    """Returns the epochs of a finished run folder; as `trained`."""
    timing, split, results = (
        json.loads((workdir / name).read_text(encoding="utf-8"))
        for name in ("timing.json", "split.json", "results.json")
    )
    # A run that was cut has a start more, and its phases exclude each other.
    seconds = sum(start.get(phase, 0.0) for start in timing["starts"] for phase in PHASES)
    patches = len(split["lists"]["train"])
    return {
        "epoch_s": seconds / epochs,
        "train_patches": patches,
        "paper_s": seconds / epochs / patches * PAPER_PATCHES * PAPER_EPOCHS,
        "dice": results["test"]["micro"]["dice"],
    }


def lines(result: Mapping[str, Any]) -> list[str]:
    """Returns a table of the runs."""
    rows = {
        name: {**row, "paper_minutes": row["paper_s"] / 60}
        if isinstance(row.get("paper_s"), int | float)
        else row
        for name, row in result.get("rows", {}).items()
    }
    columns = [
        ("s an epoch", "epoch_s", ".3g"),
        ("training patches", "train_patches", ",.0f"),
        ("the paper's run, minutes", "paper_minutes", ",.3g"),
        ("test micro Dice", "dice", ".4f"),
        ("whole command, s", "seconds", ",.0f"),
    ]
    return [
        "DeepLabV3+ ResNet-50 on painted patches, epochs with validation and checkpoint. The paper's run:",
        f"{PAPER_EPOCHS} epochs of {PAPER_PATCHES:,} patches at that rate, with validation in the same proportion.",
        "",
        *row_table({"rows": rows}, "run", columns),
    ]
