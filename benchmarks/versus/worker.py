"""The process of one contender: JSON lines on standard input, one JSON line in answer to each.

  {"do": "start", "case": {...}}   {"steps_per_dispatch": 1, "compile_s": 12.3, "about": {...}}, built and warm
  {"do": "run", "steps": 5}        {"seconds": 1.2}, after so many steps, and one dispatch before them
  {"do": "memory"}                 {"peak_mib": 1234.5}, since the warm-up

Whatever goes wrong is answered by {"failed": reason} with the traceback on standard error, and ends the process.
"""

import json
import os
import pathlib
import resource
import sys
import time
import traceback
from typing import Any

from benchmarks.versus.case import OURS, Case, Contender

WARM_UP_DISPATCHES = 2


def start(case: Case) -> Contender:
    """The contender, warm, its peak memory counted anew."""
    if case.device == "cpu":
        # Before anything starts threads: XLA sizes its pool by the processors it may run on.
        available = sorted(os.sched_getaffinity(0))
        if case.threads > len(available):
            raise ValueError(f"{case.threads} threads were asked for, there are {len(available)} processors")
        os.sched_setaffinity(0, available[: case.threads])
    # Neither library enters the other's process.
    if case.contender == OURS:
        from benchmarks.versus.nucseg_contender import prepare
    else:
        from benchmarks.versus.pytorch_contender import prepare
    contender = prepare(case)
    contender.run(WARM_UP_DISPATCHES * contender.steps_per_dispatch)
    reset_peak_rss()
    if contender.reset_peak_memory is not None:
        contender.reset_peak_memory()
    return contender


def answer(request: dict[str, Any], contender: Contender) -> dict[str, Any]:
    """Does what the request says, after the start."""
    if request["do"] == "run":
        # Memory that a process gave back while the others computed is dear to get again, on a virtual machine above
        # all; training has no such pauses.
        contender.run(contender.steps_per_dispatch)
        begin = time.perf_counter()
        contender.run(request["steps"])
        return {"seconds": time.perf_counter() - begin}
    if request["do"] == "memory":
        device_bytes = contender.peak_device_bytes
        return {"peak_mib": peak_rss_mib() if device_bytes is None else device_bytes() / 2**20}
    raise ValueError(f"unknown request {request['do']!r}")


def reset_peak_rss() -> None:
    """Sets the kernel's record of this process's largest resident size to the present one, where it can."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        # Then the compiler's memory is counted too.
        return


def peak_rss_mib() -> float:
    """Largest resident size of this process, MiB."""
    try:
        status = pathlib.Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    kib = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
    return int(kib) / 2**10


def main() -> None:
    """Answers until standard input ends."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    # What libraries print must not end up between the answers.
    os.dup2(2, 1)
    contender: Contender | None = None
    for line in sys.stdin:
        try:
            request = json.loads(line)
            if request["do"] == "start":
                contender = start(Case(**request["case"]))
                reply = {
                    "steps_per_dispatch": contender.steps_per_dispatch,
                    "compile_s": contender.compile_s,
                    "about": contender.about,
                }
            else:
                reply = answer(request, contender)
        except Exception as error:
            traceback.print_exc()
            summary = (str(error).strip().splitlines() or [""])[0]
            print(json.dumps({"failed": f"{type(error).__name__}: {summary}"}), file=channel)
            sys.exit(1)
        print(json.dumps(reply), file=channel)


if __name__ == "__main__":
    main()
