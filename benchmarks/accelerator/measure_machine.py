"""The machine, and the versions of everything that a speed depends on."""

import dataclasses
import importlib.metadata
import subprocess
from collections.abc import Mapping
from typing import Any

from benchmarks.accelerator.ledger import Ledger
from benchmarks.accelerator.page import done_rows, table
from benchmarks.accelerator.settings import Settings

# No serial numbers.
NVIDIA_SMI = "name,driver_version,memory.total,power.limit,clocks.max.sm,clocks.max.memory,persistence_mode"
OTHERS = (
    "torch",
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
    "libtpu",
)


def measure(settings: Settings, ledger: Ledger) -> None:
    """Measures three rows: host, nvidia-smi where there is one, and what JAX sees; runs one program."""
    from benchmarks.versus.machine import describe_machine

    ledger.row("host", describe_machine)
    ledger.row("nvidia-smi", ask_nvidia_smi)
    ledger.row("packages", lambda: {name: _version(name) for name in OTHERS})
    ledger.row("device", lambda: describe_device(settings.device))
    device = ledger.result["rows"]["device"]
    if device["outcome"] != "done":
        raise RuntimeError(f"JAX has no {settings.device} device: {device['failed']}")


def ask_nvidia_smi() -> dict[str, Any]:
    """Returns the driver's report of each GPU, and nothing where there is no driver."""
    command = ["nvidia-smi", f"--query-gpu={NVIDIA_SMI}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return {"present": False}
    if done.returncode:
        return {"present": True, "failed": (done.stdout or done.stderr).strip()[:200]}
    names = NVIDIA_SMI.split(",")
    gpus = [dict(zip(names, line.split(", "), strict=False)) for line in done.stdout.strip().splitlines()]
    return {"present": True, "gpus": gpus}


def describe_device(device: str) -> dict[str, Any]:
    """Returns what JAX sees, what is known of such a device, and that a product there is right.

    Raises:
      RuntimeError: JAX has no such device, or it computes wrongly.
    """
    import os

    os.environ["JAX_PLATFORMS"] = "cpu" if device == "cpu" else f"{device},cpu"
    import jax
    import jax.numpy as jnp

    from nucseg_jax.run_folder.environment import describe_environment
    from nucseg_jax.runtime.device_facts import device_facts

    first = jax.devices()[0]
    ones = jax.jit(lambda x: x @ x)(jnp.ones((256, 256)))
    if float(ones.sum()) != 256.0**3:
        raise RuntimeError(f"a product of ones sums to {float(ones.sum())}")
    facts = device_facts(first.device_kind)
    memory = first.memory_stats() or {}
    return {
        "environment": describe_environment(),
        "kind": first.device_kind,
        "count": jax.device_count(),
        "memory_gib": round(memory["bytes_limit"] / 2**30, 1) if "bytes_limit" in memory else None,
        "known": None if facts is None else dataclasses.asdict(facts),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def lines(result: Mapping[str, Any]) -> list[str]:
    """Returns a table of what was found."""
    rows = done_rows(result)
    host, device, gpus = (rows.get(name, {}) for name in ("host", "device", "nvidia-smi"))
    environment = device.get("environment", {})
    known = device.get("known")
    memory = device.get("memory_gib")
    for_jax = f", {memory} GiB for JAX" if memory else "; JAX knows no limit of its memory"
    cells = [
        (
            "processor",
            f"{host.get('cpu')}, {host.get('processors')} processors, {host.get('memory_gib')} GiB",
        ),
        ("device", f"{device.get('count')} x {device.get('kind')}{for_jax}"),
        (
            "peaks",
            "not in nucseg_jax/runtime/device_facts.py: no shares of a peak" if known is None else known,
        ),
        ("commit", environment.get("git", {}).get("commit")),
        *((name, value) for name, value in environment.get("packages", {}).items() if value),
        *(
            (name, rows.get("packages", {}).get(name))
            for name in OTHERS
            if rows.get("packages", {}).get(name)
        ),
        ("XLA_FLAGS", environment.get("xla_flags") or "none"),
        *((f"GPU {index}", gpu) for index, gpu in enumerate(gpus.get("gpus", []))),
    ]
    return table(("what", "is"), cells)
