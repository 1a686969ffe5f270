"""Steps a dispatch, the training loop with either feed, augmentation, targets of instance heads, and start-up."""

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from benchmarks.accelerator.commands import profiled, run_command, work_row
from benchmarks.accelerator.ledger import Ledger
from benchmarks.accelerator.page import row_table
from benchmarks.accelerator.settings import LAUNCH, ROOT, Settings, environment
from configs import paper

MODEL = paper.NAMES[2]
DISPATCHES = (1, 8, 64)
# Kinds that the paper's run has not, at strengths of everyday use.
AUGMENTATIONS = {
    "none": ("--config.augment.flips=False", "--config.augment.quarter_turns=False"),
    "the paper's": (),
    "strong": ("--config.augment.preset=strong",),
}
HEADS = ("hover", "distance")


def measure(settings: Settings, ledger: Ledger) -> None:
    """Measures each group on one model, all on the same painted patches."""
    size = 2 if settings.device == "cpu" else 8
    dtype = "float32" if settings.device == "cpu" else "bfloat16"
    common = [f"--batch_sizes={size}", f"--dtypes={dtype}"]

    def loop(feeds: str, *flags: str) -> dict[str, Any]:
        return profiled(settings, ledger, MODEL, [*common, f"--feeds={feeds}", *data_flags(settings), *flags])

    for steps in DISPATCHES[:2] if settings.small else DISPATCHES:
        ledger.row(
            f"steps a dispatch: {steps}",
            lambda steps=steps: step_values(
                loop("synthetic", f"--config.train.steps_per_dispatch={steps}"), "synthetic"
            ),
        )
    ledger.row("painted patches", lambda: prepare(settings, ledger))
    ledger.row("feeds: device, host", lambda: both_feeds(loop("synthetic,device,host")))
    names = list(AUGMENTATIONS)[:1] if settings.small else AUGMENTATIONS
    for name in names:
        ledger.row(
            f"augmentation: {name}",
            lambda name=name: step_values(loop("device", *AUGMENTATIONS[name]), "device"),
        )
    for head in HEADS[:1] if settings.small else HEADS:
        ledger.row(
            f"targets: {head}",
            lambda head=head: step_values(loop("synthetic", f"--config.model.head={head}"), "synthetic"),
        )
    for name in ("cold", "warm"):
        ledger.row(f"start-up: {name}", lambda name=name: start_up(settings, ledger, name))


def data_flags(settings: Settings) -> list[str]:
    """Returns the config fields of the painted data set of this measurement."""
    count = 5 if settings.small else 100
    return [
        "--config.data.source=synthetic",
        f"--config.data.dir={settings.scratch}/data{count}",
        f"--config.data.synthetic_patches_per_fold={count}",
    ]


def prepare(settings: Settings, ledger: Ledger) -> dict[str, Any]:
    """Paints the data set, unless it is there."""
    command = [*LAUNCH, "prepare", f"--config={ROOT / 'configs' / MODEL}.py", *data_flags(settings)]
    run_command(command, ledger, environment(settings, JAX_PLATFORMS="cpu"))
    return {}


def step_values(printed: Mapping[str, Any], feed: str) -> dict[str, Any]:
    """Returns what the rows of this step have, of the training row with a feed."""
    row = work_row(printed, "training", feed)
    names = (
        "images_per_second",
        "step_ms",
        "compile_s",
        "targets_ms",
        "targets_share_of_step",
        "steps_per_dispatch",
    )
    return {name: row[name] for name in names}


def both_feeds(printed: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the rates of the bare step and of the training loop with either feed, measured interleaved."""
    rows = {feed: work_row(printed, "training", feed) for feed in ("synthetic", "device", "host")}
    rates = {f"{feed}_images_per_second": row["images_per_second"] for feed, row in rows.items()}
    shares = {f"{feed}_share": rows[feed]["share_of_bare_step"] for feed in ("device", "host")}
    return {**rates, **shares}


def start_up(settings: Settings, ledger: Ledger, name: str) -> dict[str, Any]:
    """Returns the seconds of each phase of a run's start, whose cache of compiled programs is empty if it is cold."""
    cache = pathlib.Path(settings.scratch) / "start_up_jax"
    workdir = pathlib.Path(settings.scratch) / f"start_up_{name}"
    shutil.rmtree(workdir, ignore_errors=True)
    if name == "cold":
        shutil.rmtree(cache, ignore_errors=True)
    flags = [
        *data_flags(settings),
        *settings.shrunk(MODEL),
        "--config.mesh.data=1",
        "--config.train.epochs=1",
        "--config.eval.overlays=0",
        "--config.eval.time_inference=False",
    ]
    command = [*LAUNCH, "train", f"--config={ROOT / 'configs' / MODEL}.py", *flags, f"--workdir={workdir}"]
    run_command(command, ledger, environment(settings, JAX_COMPILATION_CACHE_DIR=str(cache)))
    timing = json.loads((workdir / "timing.json").read_text(encoding="utf-8"))
    return {"starts": timing["starts"]}


def lines(result: Mapping[str, Any]) -> list[str]:
    """Returns one table of rates, one of the feeds and one of start-up."""
    rows = result.get("rows", {})
    feeds = {name: row for name, row in rows.items() if name.startswith("feeds")}
    starts = {name: row for name, row in rows.items() if name.startswith("start-up")}
    rates = {name: row for name, row in rows.items() if name not in (*feeds, *starts)}
    shown = row_table(
        {"rows": rates},
        "training step",
        [
            ("images/s", "images_per_second", ",.4g"),
            ("step, ms", "step_ms", ".3g"),
            ("compile, s", "compile_s", ".1f"),
            ("targets, ms", "targets_ms", ".3g"),
            ("of the step", "targets_share_of_step", ".1%"),
        ],
    )
    columns = [
        ("bare step, images/s", "synthetic_images_per_second", ",.4g"),
        ("device feed", "device_images_per_second", ",.4g"),
        ("of the bare step", "device_share", ".1%"),
        ("host feed", "host_images_per_second", ",.4g"),
        ("of the bare step", "host_share", ".1%"),
    ]
    shown += ["", *row_table({"rows": feeds}, "loop", columns)] if feeds else []
    if starts:
        phases = sorted(
            {phase for row in starts.values() for start in row.get("starts", []) for phase in start}
        )
        flat = {
            name: {**row, **{phase: row["starts"][-1].get(phase) for phase in phases}}
            if row.get("starts")
            else row
            for name, row in starts.items()
        }
        columns = [(f"{phase}, s", phase, ".1f") for phase in phases] or [("s", "seconds", ".1f")]
        shown += ["", *row_table({"rows": flat}, "start", columns)]
    return shown
