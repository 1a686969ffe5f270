"""Measures the cases of `profile` interleaved, each to a row of JSON values."""

import contextlib
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import tqdm

from nucseg_jax.cli.profile_cases import Case
from nucseg_jax.cli.profile_modes import ReadyCase, ready, ready_targets
from nucseg_jax.core.errors import reason_of
from nucseg_jax.data.prepared import DataPlan
from nucseg_jax.models.cost import forward_flops
from nucseg_jax.runtime.device_facts import device_facts
from nucseg_jax.runtime.peak_memory import forget_peak, peak_bytes
from nucseg_jax.training.throughput import BLOCKS, Mode, Rate, measure_in_turns, share_of

_TRACED_DISPATCHES = 3
# A training step's arithmetic in units of the forward pass: gradients of inputs and of weights cost one each.
_TRAIN_TO_FORWARD = 3
_MEBI = 2**20


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
        modes = [prepared.mode for _, _, prepared in running]
        targets = _target_modes([case for _, case, _ in running])
        every = measure_in_turns([*modes, *targets.values()], block_s=seconds / BLOCKS, failed=out_of_memory)
        results, of_targets = every[: len(modes)], dict(zip(targets, every[len(modes) :], strict=True))
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
                alone = of_targets.get(case.batch_size)
                if case.work == "training" and isinstance(alone, Rate):
                    row["targets_ms"] = _rounded(alone.step_ms)
                    # Images a second of the step over those of the targets: the time of these over that of the step.
                    row["targets_share_of_step"] = _rounded(share_of(result, alone))
        if trace is not None:
            with jax.profiler.trace(str(trace)):
                for row, _, prepared in running:
                    if row["error"] is None:
                        prepared.mode.advance(_TRACED_DISPATCHES)
    return rows


def out_of_memory(error: Exception) -> bool:
    """Returns True for an error of a host or device that ran out of memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _target_modes(cases: Sequence[Case]) -> dict[int, Mode]:
    """Returns what makes the targets of each batch size of training, whose dtype has no part in it."""
    modes: dict[int, Mode] = {}
    for case in cases:
        if case.work == "training" and case.experiment.head.maps and case.batch_size not in modes:
            try:
                modes[case.batch_size] = ready_targets(case)
            except Exception as error:
                if not out_of_memory(error):
                    raise
    return modes


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
        "targets_ms": None,
        "targets_share_of_step": None,
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


def _rounded(value: float | None) -> float | None:
    """Rounds to five digits; None for what is unknown or not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.5g}")
