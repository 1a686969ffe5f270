"""The tests that bear the marker `device`, on the device: each file a row, in a process of its own."""

import os
import pathlib
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from benchmarks.accelerator.commands import CommandError, run_command
from benchmarks.accelerator.ledger import Ledger
from benchmarks.accelerator.page import NOT_MEASURED, row_table, rows_of
from benchmarks.accelerator.settings import ROOT, Settings, environment

MARK = "mark.device"
# Of pytest: some failed; none was selected.
FAILED, NOTHING = 1, 5
# In small: the file that is done first, and one whose tests compile a model.
SMALL = ("tests/ops/test_pool_and_resize.py", "tests/ops/test_depthwise.py")
MOST_NAMES = 40


def measure(settings: Settings, ledger: Ledger) -> None:
    """Runs each file of tests; its row fails if one of its tests does."""
    names = SMALL if settings.small else files()
    ledger.note(asked=list(names))
    for name in names:
        ledger.row(name, lambda name=name: run_file(name, settings, ledger))


def files() -> list[str]:
    """Returns the files that have tests with the marker: operations first, whole commands last."""
    own = [path for path in (ROOT / "tests").rglob("test_*.py") if MARK in path.read_text(encoding="utf-8")]
    order = ("ops", "heads", "training", "models", "inference", "cli", "faults")

    def turn(path: pathlib.Path) -> tuple[int, str]:
        folder = path.relative_to(ROOT / "tests").parts[0]
        return order.index(folder) if folder in order else len(order), path.as_posix()

    return [path.relative_to(ROOT).as_posix() for path in sorted(own, key=turn)]


def run_file(name: str, settings: Settings, ledger: Ledger) -> dict[str, Any]:
    """Returns counts and names of what passed, failed and was skipped in one file."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        command = [
            *(sys.executable, "-m", "pytest", "-m", "device", "-p", "no:cacheprovider", "--tb=short"),
            f"--junitxml={report}",
            name,
        ]
        variables = environment(
            settings,
            JAX_COMPILATION_CACHE_DIR=os.path.join(settings.scratch, "tests_jax"),
            # Tests of float32 are of float32, not of TF32.
            JAX_DEFAULT_MATMUL_PRECISION="highest",
        )
        try:
            run_command(command, ledger, variables)
        except CommandError:
            # Failed tests are in the report; without one, the process died.
            if not report.exists():
                raise
        return read_report(report.read_text(encoding="utf-8"))


def read_report(text: str) -> dict[str, Any]:
    """Returns the outcomes in a report of pytest in JUnit's form.

    Args:
      text: XML that pytest wrote.

    Returns:
      `passed`, `skipped` (counts), `failures` (name: first line of the reason, bounded), `names` of what passed and,
      if a test failed or none ran, `failed`.
    """
    passed, skipped, failures = [], 0, {}
    for case in ET.fromstring(text).iter("testcase"):
        fault = next((part for part in case if part.tag in ("failure", "error")), None)
        if fault is not None:
            reason = (fault.get("message") or "no message").strip().splitlines()
            failures[case.get("name", "?")] = (reason or ["no message"])[0][:300]
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed.append(case.get("name", "?"))
    row: dict[str, Any] = {
        "passed": len(passed),
        "skipped": skipped,
        "failures": dict(list(failures.items())[:MOST_NAMES]),
        "names": passed,
    }
    if failures:
        row["failed"] = f"{len(failures)} of {len(failures) + len(passed)}: {', '.join(list(failures)[:5])}"
    elif not passed:
        row["failed"] = "no test ran"
    return row


def answer(result: Mapping[str, Any], repeats: Mapping[str, Any]) -> str:
    """Returns one line: how many tests passed, and which failed.

    Args:
      result: of this step.
      repeats: of `measure_repeat`, whose rows count as files.
    """
    rows = {**rows_of(result), **rows_of(repeats)}
    if not rows:
        return f"{NOT_MEASURED}."
    passed = sum(row.get("passed", 0) for row in rows.values())
    failures = [f"`{test}`" for row in rows.values() for test in row.get("failures", {})]
    died = [name for name, row in rows.items() if row.get("outcome") == "failed" and "passed" not in row]
    asked = [*result.get("asked", []), *repeats.get("asked", [])]
    missing = sum(rows.get(name, {}).get("outcome") in (None, "cut", "running") for name in asked)
    said = f"{passed:,} device tests passed, {len(failures):,} failed"
    said += f" ({', '.join(failures[:10])})" if failures else ""
    said += f"; without an end: {', '.join(died)}" if died else ""
    said += f"; files of {len(asked)} not run yet: {missing}" if missing else ""
    verdict = "No" if failures or died else "Not known yet" if missing else "Yes"
    return f"{verdict}: {said}."


def lines(result: Mapping[str, Any]) -> list[str]:
    """Returns a table of the files, and the tests that failed with their reasons."""
    shown = row_table(
        result, "file", [("passed", "passed", ""), ("skipped", "skipped", ""), ("s", "seconds", ".0f")]
    )
    faults = [
        f"- `{name}` {test}: {reason}"
        for name, row in rows_of(result).items()
        for test, reason in row.get("failures", {}).items()
    ]
    return [*shown, *([""] if faults else []), *faults]
