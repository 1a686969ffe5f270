"""`profile`: the speed of a config's training and evaluation here, as rates and as shares of the peak."""

import contextlib
import dataclasses
import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import tqdm
from jax.sharding import Mesh

from nucseg_jax.cli.profile_cases import FEEDS, Case, Feed, ReadyCase, cases_of, ready
from nucseg_jax.cli.table import render
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.data.patch_sizes import check_patches
from nucseg_jax.data.prepared import DataPlan, plan_data
from nucseg_jax.experiment import Experiment
from nucseg_jax.models.cost import forward_flops
from nucseg_jax.models.initial import TABLE_1_PX
from nucseg_jax.runtime.device_facts import device_facts
from nucseg_jax.runtime.peak_memory import forget_peak, peak_bytes
from nucseg_jax.training.schedule import make_schedule
from nucseg_jax.training.throughput import BLOCKS, Rate, measure_in_turns, share_of

_TRACED_DISPATCHES = 3
# A training step's arithmetic in units of the forward pass: gradients of inputs and of weights cost one each.
_TRAIN_TO_FORWARD = 3
_MEBI = 2**20
NOTES = (
    "synthetic: the bare step on one batch that stays on the device. device, host: the training loop as train runs it,",
    "with its feed, augmentation, logs and checkpoints, without validation. evaluation: forward pass and counts on",
    "whole patches. Rows are measured interleaved, block by block; images/s: median of the blocks, p10 to p90, and the",
    "mean, which has a checkpoint in it however rare they are.",
    "GFLOP/s: XLA's count of the compiled program. MFU: 3 x (training) or 1 x the convolutions' arithmetic, as a share",
    "of the device's peak; bandwidth: the program's own count of bytes, as a share of peak. '-': not known.",
)


def profile(
    experiment: Experiment,
    *,
    feeds: Sequence[str],
    batch_sizes: Sequence[int],
    dtypes: Sequence[str],
    seconds: float,
    as_json: bool,
    trace: pathlib.Path | None,
) -> None:
    """Measures the cases of a config and prints a table of them.

    Args:
      experiment: what to measure.
      feeds: of 'synthetic', 'device', 'host'; () = all that the data allow.
      batch_sizes, dtypes: each is combined with each; () = the config's.
      seconds: to measure each row, compilation and warm-up not counted.
      as_json: print JSON in place of a table.
      trace: where a trace for TensorBoard or Perfetto goes; None = none.

    Raises:
      UserError: a feed, batch size or dtype that is none, or a feed whose data are not prepared.
    """
    chosen = _feeds(feeds)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise UserError(f"--seconds is {seconds}", expected="a positive number of seconds a row")
    settings = experiment.config.train
    sizes = tuple(batch_sizes) or (settings.batch_size,)
    plan, missing = _plan(experiment, sizes)
    if missing and any(feed != "synthetic" for feed in chosen):
        raise missing
    # Without a data set, at the size that Table 1 counts for.
    patch_px = plan.info.patch_px if plan else TABLE_1_PX
    cases = cases_of(
        experiment,
        ("synthetic",) if missing else chosen or FEEDS,
        sizes,
        tuple(dtypes) or (settings.dtype,),
        patch_px=patch_px,
        has_void=plan is not None and plan.info.has_void,
    )
    note = reason_of(missing) if missing and not chosen else None
    rows = measure(cases, plan, seconds=seconds, trace=trace)
    device = _device(experiment.make_mesh(patch_px))
    if as_json:
        print(
            json.dumps({**rows[0], "device": device, "note": note, "rows": rows}, indent=2, allow_nan=False)
        )
        return
    model = experiment.config.model
    print(f"model    {model.decoder} on {model.encoder}, width {model.width:g}")
    print(f"device   {device['count']} x {device['kind']}")
    if note:
        print(f"feeds    synthetic only: {note}")
    print()
    print(_table(rows))
    print()
    for line in _comparisons(rows):
        print(line)
    if trace is not None:
        print(f"trace: tensorboard --logdir {trace}, or open its .trace.json.gz in https://ui.perfetto.dev")
    print("\n".join(NOTES))


def measure(
    cases: Sequence[Case], plan: DataPlan | None, *, seconds: float, trace: pathlib.Path | None
) -> list[dict[str, Any]]:
    """Returns one row of JSON values for each case, in order; a case that runs out of memory has an `error`."""
    rows = [_named(case) for case in cases]
    with contextlib.ExitStack() as stack:
        running: list[tuple[dict[str, Any], Case, ReadyCase]] = []
        bar = tqdm.tqdm(cases, "compiling", leave=False, disable=None)
        for row, case in zip(rows, bar, strict=True):
            forget_peak()
            try:
                prepared = ready(case, plan)
            except Exception as error:
                if not out_of_memory(error):
                    raise
                row["error"] = reason_of(error)
                continue
            stack.callback(prepared.close)
            row["peak_memory_mb"] = _rounded(peak_bytes(jax.devices()[0]) / _MEBI)
            running.append((row, case, prepared))
        results = measure_in_turns(
            [prepared.mode for _, _, prepared in running], block_s=seconds / BLOCKS, failed=out_of_memory
        )
        rate_of_bare_step = {
            (case.batch_size, case.dtype): result
            for (_, case, _), result in zip(running, results, strict=True)
            if (case.work, case.feed) == ("training", "synthetic") and isinstance(result, Rate)
        }
        for (row, case, prepared), result in zip(running, results, strict=True):
            if isinstance(result, Exception):
                row["error"] = reason_of(result)
            else:
                row |= _measured(case, prepared, result)
                bare = rate_of_bare_step.get((case.batch_size, case.dtype))
                if case.work == "training" and bare is not None:
                    row["share_of_bare_step"] = _rounded(share_of(result, bare))
        if trace is not None:
            with jax.profiler.trace(str(trace)):
                for row, _, prepared in running:
                    if row["error"] is None:
                        prepared.mode.advance(_TRACED_DISPATCHES)
    return rows


def out_of_memory(error: Exception) -> bool:
    """Returns True for an error of a host or device that ran out of memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _feeds(feeds: Sequence[str]) -> tuple[Feed, ...]:
    unknown = [feed for feed in feeds if feed not in FEEDS]
    if unknown:
        raise UserError(f"--feeds has {', '.join(unknown)}", expected=f"some of {','.join(FEEDS)}")
    return tuple(feed for feed in FEEDS if feed in feeds)


def _plan(experiment: Experiment, batch_sizes: Sequence[int]) -> tuple[DataPlan | None, UserError | None]:
    """Returns the prepared data, None where there are none to use, and why no feed can train on them."""
    plan = None
    try:
        found = plan_data(
            experiment.config.data.prepared_folder,
            experiment.splits,
            num_classes=experiment.config.model.num_classes,
            used=["train"],
            allow_duplicates=True,
            with_instances=experiment.scores_instances,
        )
        check_patches(experiment.config, found.info)
        plan = found
        for batch_size in batch_sizes:
            # Whether the patches fill a batch.
            make_schedule(
                len(plan.splits.train),
                epochs=1,
                patch_px=plan.info.patch_px,
                tile_px=experiment.config.train.tile_px,
                batch_size=batch_size,
                log_every_steps=1,
                checkpoint_every_steps=0,
            )
    except UserError as error:
        return plan, error
    return plan, None


def _device(mesh: Mesh) -> dict[str, Any]:
    devices = list(mesh.devices.flat)
    facts = device_facts(devices[0].device_kind)
    return {
        "kind": devices[0].device_kind,
        "platform": devices[0].platform,
        "count": len(devices),
        "known": None if facts is None else dataclasses.asdict(facts),
    }


def _named(case: Case) -> dict[str, Any]:
    """Returns a row before it is measured, with every key."""
    return {
        "work": case.work,
        "feed": case.feed,
        "batch_size": case.batch_size,
        "px": case.px,
        "dtype": case.dtype,
        "steps_per_dispatch": None,
        "images_per_second": None,
        "images_per_second_p10": None,
        "images_per_second_p90": None,
        "images_per_second_mean": None,
        "share_of_bare_step": None,
        "step_ms": None,
        "compile_s": None,
        "program_from": None,
        "peak_memory_mb": None,
        "program_memory_mb": None,
        "flops_per_step": None,
        "flops_per_step_by_analysis": None,
        "flops_per_second": None,
        "flops_per_second_by_analysis": None,
        "bytes_per_second": None,
        "mfu": None,
        "bandwidth_share": None,
        "error": None,
    }


def _measured(case: Case, prepared: ReadyCase, rate: Rate) -> dict[str, Any]:
    """Returns the values of a measured row."""
    steps_per_second = rate.median / case.batch_size
    # XLA counts the body of a loop once, so that this is of one step whatever a dispatch holds.
    cost = prepared.program.cost_analysis() or {}
    flops, transferred = cost.get("flops"), cost.get("bytes accessed")
    passes = _TRAIN_TO_FORWARD if case.work == "training" else 1
    analytic = passes * forward_flops(case.experiment.model, px=case.px) * case.batch_size
    mesh = case.experiment.make_mesh(case.patch_px)
    facts = device_facts(mesh.devices.flat[0].device_kind)
    peak = facts.peak_flops(case.dtype) if facts else None
    bandwidth = facts.bytes_per_second if facts else None
    memory = prepared.program.memory_analysis()
    # Of one device: XLA counts what each of them computes.
    return {
        "steps_per_dispatch": prepared.mode.steps,
        "images_per_second": _rounded(rate.median),
        "images_per_second_p10": _rounded(rate.p10),
        "images_per_second_p90": _rounded(rate.p90),
        "images_per_second_mean": _rounded(rate.mean),
        "step_ms": _rounded(rate.step_ms),
        "compile_s": _rounded(prepared.compile_s),
        "program_from": prepared.program_from,
        "program_memory_mb": None
        if memory is None
        else _rounded(
            (
                memory.argument_size_in_bytes
                + memory.output_size_in_bytes
                + memory.temp_size_in_bytes
                - memory.alias_size_in_bytes
            )
            / _MEBI
        ),
        "flops_per_step": flops,
        "flops_per_step_by_analysis": analytic,
        "flops_per_second": _rounded(flops and flops * steps_per_second),
        "flops_per_second_by_analysis": _rounded(analytic * steps_per_second),
        "bytes_per_second": _rounded(transferred and transferred * steps_per_second),
        "mfu": _rounded(peak and analytic * steps_per_second / (peak * mesh.size)),
        "bandwidth_share": _rounded(bandwidth and transferred and transferred * steps_per_second / bandwidth),
    }


def _table(rows: Sequence[dict[str, Any]]) -> str:
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


def _comparisons(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the rate of the training loop as a share of the bare step's, where both were measured."""
    return [
        f"{row['feed']} feed, batch {row['batch_size']}, {row['dtype']}: end to end at"
        f" {row['share_of_bare_step']:.1%} of the bare step (median over the turns)"
        for row in rows
        if row["feed"] != "synthetic" and row["share_of_bare_step"] is not None
    ]


def _rounded(value: float | None) -> float | None:
    """Rounds to five digits; None for what is unknown or not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.5g}")
