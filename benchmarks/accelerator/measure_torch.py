"""Training and inference beside the same layers in PyTorch: `benchmarks/versus_torch.py`, case by case."""

import argparse
import importlib.util
import itertools
from collections.abc import Mapping
from typing import Any

from benchmarks.accelerator.ledger import Ledger, OutOfTimeError, SkippedError
from benchmarks.accelerator.page import NOT_MEASURED, done_rows, table
from benchmarks.accelerator.settings import Settings

PAIRS = (("bfloat16", 8), ("bfloat16", 64), ("float32", 8))


def measure(settings: Settings, ledger: Ledger) -> None:
    """Measures each model, mode, dtype and batch size, both sides interleaved.

    Raises:
      SkippedError: PyTorch is not installed, or not made for the device.
    """
    if settings.device == "tpu":
        raise SkippedError("PyTorch is compared with on CPU and CUDA")
    if importlib.util.find_spec("torch") is None:
        raise SkippedError("PyTorch is not installed (extra bench)")
    from benchmarks import versus_torch
    from benchmarks.versus.case import Case

    contenders = versus_torch.CONTENDERS[settings.device]
    if settings.small:
        contenders = contenders[:2]
    pairs = (("float32", 2),) if settings.device == "cpu" else PAIRS
    models = settings.models[:1] if settings.small else settings.models
    for (dtype, size), mode, model in itertools.product(pairs, versus_torch.MODES, models):
        cases = [
            Case(name, model, mode, size, 64 if settings.small else 256, dtype, settings.device, threads=2)
            for name in contenders
        ]

        def measured(cases: list[Case] = cases) -> dict[str, Any]:
            if ledger.seconds_left <= 0:
                raise OutOfTimeError
            options = argparse.Namespace(
                rounds=3, turn_s=settings.seconds / 4, timeout_s=max(ledger.seconds_left, 1.0)
            )
            found = versus_torch.measure(cases, options)
            if found["ratio"] is None:
                failed = {name: row.get("failed") for name, row in found["contenders"].items()}
                return {**found, "failed": f"one side alone, {failed}"}
            return found

        ledger.row(f"{model}, {mode}, {dtype}, batch {size}", measured)


def answer(result: Mapping[str, Any]) -> str:
    """Returns one line: the range of ratios in training and in inference."""
    parts = []
    for mode in ("train", "inference"):
        ratios = [row["ratio"]["median"] for name, row in done_rows(result).items() if f", {mode}, " in name]
        if ratios:
            parts.append(f"{mode} {min(ratios):.2f} to {max(ratios):.2f} (cases: {len(ratios)})")
    skipped = f": {result['skipped']}" if result.get("skipped") else ""
    return (
        f"{'; '.join(parts)} times the better of PyTorch's modes." if parts else f"{NOT_MEASURED}{skipped}."
    )


def lines(result: Mapping[str, Any]) -> list[str]:
    """Returns a table of rates and ratios."""
    from benchmarks.versus.table import rate_cell

    cells: list[tuple[Any, ...]] = []
    names = sorted({name for row in result.get("rows", {}).values() for name in row.get("contenders", {})})
    # Ours is the first.
    names.sort(key=lambda name: name != "nucseg_jax")
    for name, row in result.get("rows", {}).items():
        contenders, ratio = row.get("contenders", {}), row.get("ratio")
        rates = [rate_cell(contenders[each]) if each in contenders else None for each in names]
        times = f"**{ratio['median']:.2f}** of {ratio['against']}" if ratio else row.get("failed")
        cells.append((name, *rates, times))
    if not cells:
        return [str(result.get("skipped", NOT_MEASURED))]
    return table(("case", *(f"{name}, images/s" for name in names), "ratio"), cells)
