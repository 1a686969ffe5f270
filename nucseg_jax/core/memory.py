"""Available memory, where a system reports it."""

import contextlib
import os
import pathlib


def available_host_bytes() -> int | None:
    """Returns bytes of main memory that a process may still allocate without swapping; None where unknown.

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


def _control_group_limit_bytes(
    root: pathlib.Path = pathlib.Path("/sys/fs/cgroup"),
    groups: pathlib.Path = pathlib.Path("/proc/self/cgroup"),
) -> int | None:
    """Returns the lowest limit of this process's control groups, version 1 or 2, and of all above them."""
    files = {root / "memory.max", root / "memory" / "memory.limit_in_bytes"}
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        folder = base / group.lstrip("/")
        files.update(each / name for each in (folder, *folder.parents) if each.is_relative_to(base))
    limits = []
    for file in files:
        with contextlib.suppress(OSError, ValueError):  # No such group, or 'max': no limit.
            limits.append(int(file.read_text(encoding="ascii")))
    return min(limits, default=None)
