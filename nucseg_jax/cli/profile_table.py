"""The rows of `profile` as a table and lines for the terminal."""

from collections.abc import Sequence
from typing import Any

from nucseg_jax.cli.table import render

NOTES = (
    "synthetic: the bare step on one batch that stays on the device. device, host: the training loop as train runs it,",
    "with its feed, augmentation, logs and checkpoints, without validation. evaluation: forward pass and counts on",
    "whole patches. Rows are measured interleaved, block by block; images/s: median of the blocks, p10 to p90, and the",
    "mean, which has a checkpoint in it however rare they are.",
    "Instance targets: the head's target maps alone, of touching nuclei of 32 px; share: of a step's time.",
    "GFLOP/s: XLA's count of the compiled program. MFU: 3 x (training) or 1 x the convolutions' arithmetic, as a share",
    "of the device's peak; bandwidth: the program's own count of bytes, as a share of peak. '-': not known.",
)


def speed_table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as a table for the terminal."""

    def shown(value: float | None, form: str, scale: float = 1.0) -> str | None:
        return None if value is None else format(value * scale, form)

    cells = [
        (
            row["work"],
            row["feed"],
            row["batch_size"],
            row["px"],
            row["dtype"],
            shown(row["images_per_second"], ".4g"),
            None
            if row["images_per_second"] is None
            else f"{row['images_per_second_p10']:.4g} to {row['images_per_second_p90']:.4g}",
            shown(row["images_per_second_mean"], ".4g"),
            shown(row["step_ms"], ".4g"),
            shown(row["compile_s"], ".1f"),
            shown(row["peak_memory_mb"], ".0f"),
            shown(row["flops_per_second"], ".4g", 1e-9),
            shown(row["mfu"], ".1%"),
            shown(row["bandwidth_share"], ".1%"),
        )
        for row in rows
    ]
    headers = (
        *("work", "feed", "batch", "px", "dtype", "images/s", "p10 to p90", "mean", "step ms", "compile s"),
        *("peak MB", "GFLOP/s", "MFU", "bandwidth"),
    )
    faults = [
        f"{row['work']} {row['feed']} batch {row['batch_size']} {row['dtype']}: out of memory: {row['error']}"
        for row in rows
        if row["error"] is not None
    ]
    return "\n".join([render(headers, cells), *faults])


def comparisons(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Returns lines of what was measured side by side: the training loop and the bare step, targets and a step."""
    loops = [
        f"{row['feed']} feed, batch {row['batch_size']}, {row['dtype']}: end to end at"
        f" {row['share_of_bare_step']:.1%} of the bare step (median over the turns)"
        for row in rows
        if row["feed"] != "synthetic" and row["share_of_bare_step"] is not None
    ]
    targets = {
        (row["batch_size"], row["dtype"]): f"instance targets, batch {row['batch_size']}, {row['dtype']}:"
        f" {row['targets_ms']:.4g} ms, {row['targets_share_of_step']:.1%} of a step with the {row['feed']} feed"
        # The first of a batch size and dtype, the bare step if it was measured, is the one that stays.
        for row in reversed(rows)
        if row["targets_share_of_step"] is not None
    }
    return [*loops, *reversed(targets.values())]
