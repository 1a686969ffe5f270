"""The rows of a step, on disk after each: what was measured outlives the process that measured it.

A row is 'running' before it is measured. If the process ends there, `settle` makes the row a failure, and the process
that follows goes on behind it.
"""

import json
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from nucseg_jax.core.errors import reason_of
from nucseg_jax.core.files import write_json

# Exit statuses of a step's process.
COMPLETE, BROKEN, RESTART, OUT_OF_TIME = 0, 1, 3, 4
# Cut at a step's bound so often, a row counts as one that cannot be measured within it.
MOST_CUTS = 2

Row = dict[str, Any]


class OutOfTimeError(Exception):
    """The step's time is over; rows that are left stay unmeasured."""


class DeviceBrokenError(Exception):
    """An error after which a process cannot trust its device; the row that met it is recorded."""


class SkippedError(Exception):
    """The step has nothing to measure here, such as a library that is not installed."""


class Ledger:
    """The rows of one step.

    Args:
      path: JSON file of the rows, made if missing; rows that it holds are not measured again.
      deadline: of `clock`; no row begins after it.
      clock: seconds.
    """

    def __init__(
        self, path: pathlib.Path, deadline: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._deadline, self._clock = path, deadline, clock
        self.result = read_result(path)

    @property
    def seconds_left(self) -> float:
        """Until the deadline; negative after it."""
        return self._deadline - self._clock()

    def note(self, **values: Any) -> None:
        """Keeps JSON values beside the rows."""
        self.result |= values
        write_json(self._path, self.result)

    def row(self, name: str, measure: Callable[[], Mapping[str, Any]]) -> Row:
        """Measures a row unless it is there already.

        Args:
          name: of the row within the step.
          measure: returns its JSON values; 'failed' among them is the reason of a row that ends without an error.

        Returns:
          The values with `outcome` ('done', 'failed', 'out of memory') and, but for 'done', `failed`, the reason.

        Raises:
          OutOfTimeError: it is not there and the deadline has passed.
          DeviceBrokenError: it failed in a way that spoils the process; the row is kept.
        """
        rows = self.result["rows"]
        if name in rows and rows[name].get("outcome") != "cut":
            kept: Row = rows[name]
            return kept
        if self.seconds_left <= 0:
            raise OutOfTimeError
        cuts = rows.pop(name, {}).get("cuts", 0)
        rows[name] = {"outcome": "running", "cuts": cuts}
        write_json(self._path, self.result)
        start, broken = self._clock(), False
        try:
            row = {"outcome": "done", **measure()}
            if row.get("failed"):
                row["outcome"] = "failed"
        except OutOfTimeError:
            rows[name] = cut_row(cuts)
            write_json(self._path, self.result)
            raise
        except Exception as error:
            is_memory = ran_out_of_memory(error)
            broken = not is_memory and _spoils_the_process(error)
            row = {"outcome": "out of memory" if is_memory else "failed", "failed": described(error)}
        rows[name] = {**row, "seconds": round(self._clock() - start, 1)}
        write_json(self._path, self.result)
        if broken:
            raise DeviceBrokenError(rows[name]["failed"])
        measured: Row = rows[name]
        return measured


def read_result(path: pathlib.Path) -> dict[str, Any]:
    """Returns what a step has on disk, at least `rows`; without a file, or with one that is none of ours, no rows."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"rows": {}}
    if not (isinstance(result, dict) and isinstance(result.get("rows"), dict)):
        return {"rows": {}}
    return {**result, "rows": {name: row for name, row in result["rows"].items() if isinstance(row, dict)}}


def settle(path: pathlib.Path, *, reason: str | None) -> bool:
    """Ends the rows that a process left running.

    Args:
      path: the step's file.
      reason: of the process's end; None if it was ended at the step's bound, which is no fault of the row the first
        time.

    Returns:
      True if there was such a row, so that another process would go on behind it.
    """
    result = read_result(path)
    left = [name for name, row in result["rows"].items() if row.get("outcome") == "running"]
    for name in left:
        cuts = result["rows"][name].get("cuts", 0)
        result["rows"][name] = cut_row(cuts) if reason is None else {"outcome": "failed", "failed": reason}
    if left:
        write_json(path, result)
    return bool(left)


def cut_row(cuts: int) -> Row:
    """Returns the row after it was cut once more than `cuts` times: to be measured again, or given up."""
    if cuts + 1 >= MOST_CUTS:
        return {"outcome": "failed", "failed": f"not measured within the step's time, {MOST_CUTS} times"}
    return {"outcome": "cut", "cuts": cuts + 1}


def forget_failures(path: pathlib.Path) -> None:
    """Removes failed rows from a step's file, so that they are measured again."""
    result = read_result(path)
    kept = {name: row for name, row in result["rows"].items() if row.get("outcome") != "failed"}
    if len(kept) < len(result["rows"]):
        result.pop("complete", None)
        write_json(path, {**result, "rows": kept})


def described(error: Exception) -> str:
    """Returns one line: the error's type and its message."""
    name, reason = type(error).__name__, reason_of(error)
    return reason if reason == name or name == "CommandError" else f"{name}: {reason}"


def ran_out_of_memory(error: Exception) -> bool:
    """Returns True for an error of a host or device that ran out of memory, this process's or a command's."""
    return isinstance(error, MemoryError) or any(
        sign in str(error) for sign in ("RESOURCE_EXHAUSTED", "out of memory", "Out of memory")
    )


def _spoils_the_process(error: Exception) -> bool:
    """Returns True for errors of the device's runtime: an illegal access leaves a CUDA context without use."""
    return any(kind.__name__ in ("XlaRuntimeError", "JaxRuntimeError") for kind in type(error).__mro__)
