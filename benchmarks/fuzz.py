r"""Hostile input by the thousand: the properties of tests/fuzz with many more cases than `make test` has.

    python benchmarks/fuzz.py --cases=10000 --out=fuzz

Each case is a file that was damaged or made to mislead: arrays and zips of a release, weights, configs, checkpoints,
images. It must be read, or refused with one `UserError`, in bounded memory and time, with no process, connection or
pickle, and nothing written elsewhere. `fuzz/fuzz.csv` counts the cases of every property by their end; a case that ends
otherwise stops its property and is printed whole, and the exit status is 1.
"""

import argparse
import collections
import csv
import json
import os
import pathlib
import subprocess
import sys
import time

from nucseg_jax.cli.table import render

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENDS = ("read", "refused")


def run_properties(factor: float, tally: pathlib.Path, seed: int) -> int:
    """Runs tests/fuzz with `factor` times the cases of `make test`; returns pytest's exit status."""
    tally.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "tests/fuzz", f"--hypothesis-seed={seed}", "--tb=short"]
    environment = {**os.environ, "NUCSEG_FUZZ_FACTOR": str(factor), "NUCSEG_FUZZ_TALLY": str(tally)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def read_tally(tally: pathlib.Path) -> dict[str, collections.Counter[str]]:
    """Cases by property and end."""
    lines = [json.loads(line) for line in tally.read_text(encoding="utf-8").splitlines()]
    return {line.pop("property"): collections.Counter(line) for line in lines}


def main() -> int:
    """Once with the suite's own numbers to count them, then as many times as the cases ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000, help="at least so many in all")
    parser.add_argument("--seed", type=int, default=0, help="another one draws other cases")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("fuzz"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tally = (arguments.out / "tally.jsonl").absolute()
    if status := run_properties(1, tally, arguments.seed):
        return status
    cases = sum(counter.total() for counter in read_tally(tally).values())
    begin = time.monotonic()
    status = run_properties(arguments.cases / cases, tally, arguments.seed + 1)
    seconds = time.monotonic() - begin
    rows = [(name, *(counter[end] for end in ENDS)) for name, counter in read_tally(tally).items() if name]
    tally.unlink()
    with (arguments.out / "fuzz.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("property", *ENDS), *rows])
    print(render(["property", *ENDS], [[name, *map(str, counts)] for name, *counts in rows]))
    print(f"{sum(sum(counts) for _, *counts in rows):,} cases in {seconds:,.0f} s, seed {arguments.seed}")
    return status


if __name__ == "__main__":
    sys.exit(main())
