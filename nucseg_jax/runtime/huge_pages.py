"""Memory in huge pages on Linux: a training step on CPU touches gigabytes, and each page of 4 KiB costs a fault.

A U-Net's step of 1.6 s took 300,000 faults, and 1.3 s without them. glibc reads the setting when a process starts and
at no other time, so whoever starts one sets it: the Makefile, sweeps, benchmarks, or a user's shell.
"""

import os
import platform
from collections.abc import Mapping

TUNABLES = "GLIBC_TUNABLES"
HUGE_PAGES = "glibc.malloc.hugetlb"
SETTING = f"{HUGE_PAGES}=1"


def with_huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment that asks for huge pages, unless it has a setting of its own; other systems ignore it.

    >>> with_huge_pages({"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"})
    {'GLIBC_TUNABLES': 'glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1'}
    """
    given = environment.get(TUNABLES, "")
    if HUGE_PAGES in given:
        return dict(environment)
    return {**environment, TUNABLES: ":".join(filter(None, (given, SETTING)))}


def huge_pages_hint() -> str:
    """Returns the setting that this process was started without, as a line for a shell; '' where it would not help."""
    if platform.libc_ver()[0] != "glibc" or HUGE_PAGES in os.environ.get(TUNABLES, ""):
        return ""
    return f"export {TUNABLES}={with_huge_pages(os.environ)[TUNABLES]}"
