"""How much memory is left, where a system says so."""

import os
import pathlib


def available_host_bytes() -> int | None:
    """Bytes of main memory that a process may still take without swapping; None where it cannot be told.

    The smaller of what the kernel reports as available and the limit of the control group, which is what
    holds in a container. Where only the total is known (macOS), that.
    """
    found = [size for size in (_kernel_available_bytes(), _control_group_limit_bytes()) if size is not None]
    return min(found, default=None)


def _kernel_available_bytes() -> int | None:
    try:
        for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _control_group_limit_bytes() -> int | None:
    try:
        return int(pathlib.Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):  # No such group, or 'max': no limit.
        return None
