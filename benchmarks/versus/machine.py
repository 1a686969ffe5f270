"""The machine that a benchmark ran on."""

import contextlib
import os
import pathlib
import platform
from typing import Any


def describe_machine() -> dict[str, Any]:
    """Returns processor, memory and system; no names of hosts or users."""
    model = platform.processor() or platform.machine()
    memory_gib = None
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
        total_kib = pathlib.Path("/proc/meminfo").read_text().split(maxsplit=2)[1]
        memory_gib = round(int(total_kib) / 2**20)
    return {
        "cpu": model,
        "processors": os.cpu_count(),
        "memory_gib": memory_gib,
        "python": platform.python_version(),
    }
