"""The most memory that was in use, as far as devices and the kernel say."""

import contextlib
import pathlib
import sys

import jax


def forget_peak() -> None:
    """Lets the process's high-water mark count from now, where the kernel can do that; devices cannot."""
    # Linux: 5 sets the resident set's high-water mark back (man 5 proc).
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes(device: jax.Device) -> int:
    """Peak memory of the device since the process began; of this process where the device reports none (CPU)."""
    stats = device.memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"])
    with contextlib.suppress(OSError, StopIteration):
        lines = pathlib.Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    # Not on Windows.
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
