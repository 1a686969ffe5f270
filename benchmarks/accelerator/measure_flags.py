"""XLA's flags, one at a time, beside the default: the training step and the evaluation step of two models.

`XLA_FLAGS=--help` prints 15,000 characters of its list and no more, in which most names are missing. So a flag is tried
on a process that does nothing else: XLA ends it for a name that it does not know.
"""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.accelerator.commands import CommandError, profiled, work_row
from benchmarks.accelerator.ledger import Ledger
from benchmarks.accelerator.page import number, rows_of, table
from benchmarks.accelerator.settings import Settings, environment

DEFAULT = "default"
# A setting is one line of XLA_FLAGS.
FLAGS = {
    "cuda": (
        "--xla_gpu_enable_command_buffer=",
        "--xla_gpu_enable_command_buffer=+CONVOLUTION",
        "--xla_gpu_force_conv_nhwc=true",
        "--xla_gpu_use_runtime_fusion=true",
        "--xla_gpu_experimental_enable_conv_fusion=true",
        "--xla_gpu_strict_conv_algorithm_picker=false",
        "--xla_gpu_autotune_level=2",
        "--xla_gpu_autotune_level=0",
        "--xla_gpu_deterministic_ops=true",
    ),
    "tpu": (),
    "cpu": ("--xla_cpu_enable_fast_math=true", "--xla_no_such_flag=true"),
}


def measure(settings: Settings, ledger: Ledger) -> None:
    """Measures the default first and last, since a machine drifts, and each flag that XLA knows."""
    models = settings.models[:1] if settings.small else (settings.models[0], settings.models[3])
    for flag in (DEFAULT, *FLAGS[settings.device], f"{DEFAULT}, again"):
        for model in models:
            ledger.row(f"{model}, {flag}", lambda flag=flag, model=model: rate(settings, ledger, model, flag))


def rate(settings: Settings, ledger: Ledger, model: str, flag: str) -> dict[str, Any]:
    """Returns images a second of training and evaluation, and seconds of compilation, with one flag.

    Raises:
      CommandError: XLA does not know the flag.
    """
    flags = "" if flag.startswith(DEFAULT) else flag
    if flags and not is_known(settings, flags):
        raise CommandError("XLA does not know this flag")
    on_cpu = settings.device == "cpu"
    printed = profiled(
        settings,
        ledger,
        model,
        [
            "--feeds=synthetic",
            f"--batch_sizes={2 if on_cpu else 8}",
            f"--dtypes={'float32' if on_cpu else 'bfloat16'}",
        ],
        XLA_FLAGS=flags,
    )
    training, evaluation = (work_row(printed, work) for work in ("training", "evaluation"))
    return {
        "training": training["images_per_second"],
        "evaluation": evaluation["images_per_second"],
        "compile_s": training["compile_s"],
    }


def is_known(settings: Settings, flag: str) -> bool:
    """Returns True for a flag that XLA does not end a process for; the plugin of a device parses them itself."""
    code = "import jax; jax.jit(lambda x: x + 1)(1.0).block_until_ready()"
    variables = environment(settings, XLA_FLAGS=flag)
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, check=False)
    return done.returncode == 0


def lines(result: Mapping[str, Any]) -> list[str]:
    """Returns a table of rates, each also as a multiple of the default's."""
    rows = rows_of(result)
    cells = []
    for name, row in rows.items():
        model, _, flag = name.partition(", ")
        before = rows.get(f"{model}, {DEFAULT}", {})
        if row.get("outcome") != "done":
            cells.append((model, f"`{flag}`", f"{row.get('outcome')}: {row.get('failed')}", *[None] * 4))
            continue
        values: list[Any] = []
        for work in ("training", "evaluation"):
            now, then = row.get(work), before.get(work)
            is_both = isinstance(now, int | float) and isinstance(then, int | float) and then > 0
            values += [number(now, ",.4g"), f"{now / then:.2f}" if is_both else None]
        cells.append((model, f"`{flag}`", *values, number(row.get("compile_s"), ".1f")))
    headers = ("model", "flag", "training, images/s", "times", "evaluation, images/s", "times", "compile, s")
    return table(headers, cells)
