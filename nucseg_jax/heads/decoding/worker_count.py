"""The number of processes that find nuclei: as many as have cores, and enough work to be worth their start."""

import os

# To start one takes 1.5 to 1.9 s of CPU time on two busy cores (`benchmarks/parallel_decoding.py`).
_SECONDS_OF_A_WORKER = 5.0
# A machine may be shared, and each holds 80 MB.
_MOST = 8


def worker_count(work_s: float) -> int:
    """Returns the number of workers for `map_in_processes`; 1 below 10 s of work.

    Args:
      work_s: seconds of CPU time that all of the work takes, estimated.
    """
    return max(1, min(usable_cores(), _MOST, int(work_s / _SECONDS_OF_A_WORKER)))


def usable_cores() -> int:
    """Returns the number of processors that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
