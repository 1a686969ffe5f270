"""Bare training steps and evaluation steps of the paper's models, by dtype and batch size."""

import collections
import itertools
from collections.abc import Mapping
from typing import Any

from benchmarks.accelerator.commands import profiled, work_row
from benchmarks.accelerator.floors import training_floor
from benchmarks.accelerator.ledger import Ledger
from benchmarks.accelerator.page import row_table, rows_of
from benchmarks.accelerator.settings import Settings
from nucseg_jax.core.counted import counted
from nucseg_jax.runtime.device_facts import DeviceFacts

# By the name in the table: the config's dtype, and the precision of products of float32.
DTYPES = {
    "bfloat16": ("bfloat16", "default"),
    "TF32": ("float32", "default"),
    "float32": ("float32", "highest"),
}
# The first that tell most, so that a measurement cut short has them.
BATCHES = (("bfloat16", 8), ("bfloat16", 64), ("TF32", 8), ("bfloat16", 32), ("float32", 8))
ALL_SIZES = (8, 16, 32, 64, 128)
KEPT = (
    *("images_per_second", "images_per_second_p10", "images_per_second_p90", "step_ms", "compile_s"),
    *("program_from", "steps_per_dispatch", "peak_memory_mb", "program_memory_mb", "mfu", "bandwidth_share"),
    *("flops_per_step", "flops_per_step_by_analysis"),
)


def grid(settings: Settings) -> list[tuple[str, int]]:
    """Returns pairs of dtype and batch size, the most telling first; a CPU has one kind of float32 product."""
    if settings.small:
        return [("float32", 2)]
    if settings.device == "cpu":
        return [("float32", 2), ("float32", 8), ("bfloat16", 2)]
    if settings.device == "tpu":
        # It has no TF32: its default for float32 is one pass in bfloat16.
        return [(dtype, size) for size in ALL_SIZES for dtype in ("bfloat16", "float32")]
    rest = [pair for pair in itertools.product(DTYPES, ALL_SIZES) if pair not in BATCHES]
    return [*BATCHES, *rest]


def measure(settings: Settings, ledger: Ledger) -> None:
    """Measures each model at a pair before the next pair, each in a process of its own."""
    cases = list(itertools.product(grid(settings), settings.models))
    ledger.note(asked=[row_name(model, *pair) for pair, model in cases])
    for (dtype, batch_size), model in cases:
        ledger.row(
            row_name(model, dtype, batch_size),
            lambda model=model, dtype=dtype, size=batch_size: measure_pair(
                settings, ledger, model, dtype, size
            ),
        )


def row_name(model: str, dtype: str, batch_size: int) -> str:
    """Returns the name of a row.

    >>> row_name("small", "TF32", 8)
    'small, TF32, batch 8'
    """
    return f"{model}, {dtype}, batch {batch_size}"


def measure_pair(
    settings: Settings, ledger: Ledger, model: str, dtype: str, batch_size: int
) -> dict[str, Any]:
    """Returns `training` and `evaluation`, the values of `KEPT` of each, and training's distance to the floor."""
    config_dtype, precision = DTYPES[dtype]
    printed = profiled(
        settings,
        ledger,
        model,
        ["--feeds=synthetic", f"--batch_sizes={batch_size}", f"--dtypes={config_dtype}"],
        JAX_DEFAULT_MATMUL_PRECISION=precision,
    )
    found: dict[str, Any] = {
        work: {key: work_row(printed, work)[key] for key in KEPT} for work in ("training", "evaluation")
    }
    known = printed["device"]["known"]
    floor = training_floor(model, DeviceFacts(**known)) if known and dtype == "bfloat16" else None
    if floor is not None and not settings.small:
        found["floor"] = floor
        found["share_of_floor"] = found["training"]["images_per_second"] / floor
    return found


def lines(result: Mapping[str, Any]) -> list[str]:
    """Returns a table for training and one for evaluation."""
    columns = [
        ("images/s", "images_per_second", ",.4g"),
        ("step, ms", "step_ms", ".3g"),
        ("compile, s", "compile_s", ".1f"),
        ("peak, MB", "peak_memory_mb", ",.0f"),
        ("MFU", "mfu", ".1%"),
        ("bandwidth", "bandwidth_share", ".1%"),
    ]
    shown = [
        "`profile`, synthetic feed: one batch that stays on the device. Evaluation: forward pass, loss and counts.",
        "MFU of float32 is a share of TF32's peak.",
    ]
    for work in ("training", "evaluation"):
        rows = {
            name: {**row, **row[work]} if isinstance(row.get(work), Mapping) else row
            for name, row in result.get("rows", {}).items()
        }
        more = [("of the floor", "share_of_floor", ".0%")] if work == "training" else []
        shown += ["", *row_table({"rows": rows}, work, [*columns, *more])]
    return [*shown, *left_out(result)]


def left_out(result: Mapping[str, Any]) -> list[str]:
    """Returns what the step had no time for, the most telling first: dtype and batch size with the count of models."""
    rows, asked = rows_of(result), result.get("asked", [])
    left = [name for name in asked if rows.get(name, {}).get("outcome") in (None, "cut", "running")]
    if not left:
        return []
    pairs = collections.Counter(name.partition(", ")[2] for name in left)
    said = "; ".join(f"{pair} ({counted(count, 'model')})" for pair, count in pairs.items())
    return ["", f"Left out for lack of time, {len(left):,} of {counted(len(asked), 'row')}: {said}."]
