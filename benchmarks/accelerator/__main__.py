"""One command for a bare machine with a GPU or TPU: does everything work, how fast, and with which lowerings?

    make accelerator DEVICE=cuda
    python -m benchmarks.accelerator --device=cuda [--minutes=30] [--only=STEP] [--out=DIR]
    python -m benchmarks.accelerator --device=cpu --small

Writes DIR/accelerator.json, whose `steps` have an outcome each, and the page DIR/accelerator.md: both after every step,
within 8 MB with all that lies beside them. Steps come in the order of their value, each in a separate process that is
ended at its bound; the bounds add up to --minutes. Rerun the same command to resume: what is measured is kept. With
--small everything is shrunk until two CPU cores take minutes.

PyTorch is compared with where it is installed (extra `bench`), tests need the extra `test`.
"""

import argparse
import pathlib
import signal
import sys
from collections.abc import Sequence

from benchmarks.accelerator.record import NAME, PAGE
from benchmarks.accelerator.runner import run
from benchmarks.accelerator.settings import DEVICES, ROOT, Settings
from benchmarks.accelerator.steps import STEPS
from nucseg_jax.core.errors import UserError


def positive(text: str) -> float:
    """Returns a number of minutes."""
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of minutes")
    return value


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accelerator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=DEVICES, required=True)
    parser.add_argument("--minutes", type=positive, default=30.0, help="for all steps together")
    parser.add_argument("--small", action="store_true", help="shrink every step")
    parser.add_argument("--only", choices=[step.name for step in STEPS], metavar="STEP", help="run this one")
    parser.add_argument("--retry", action="store_true", help="measure again what failed before")
    parser.add_argument("--out", type=pathlib.Path, help="default: runs/accelerator-DEVICE, or -DEVICE-small")
    parser.add_argument("--scratch", type=pathlib.Path, help="for data and runs; default: beside --out")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 where every step is done or skipped, otherwise 1."""
    options = parse_options(arguments)
    name = f"accelerator-{options.device}" + ("-small" if options.small else "")
    out = (options.out or ROOT / "runs" / name).absolute()
    scratch = (options.scratch or out.with_name(f"{out.name}-scratch")).absolute()
    if scratch.is_relative_to(out):
        sys.exit(f"error: --scratch is {scratch}, inside --out, whose size is bounded")
    # Ends the step's process too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    settings = Settings(options.device, options.small, str(out), str(scratch))
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        record = run(
            STEPS,
            settings,
            minutes=options.minutes,
            only=options.only,
            retry=options.retry,
            say=lambda line: print(line, flush=True),
        )
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"\n{out / PAGE}\n{out / NAME}")
    asked = [entry for name, entry in record["steps"].items() if options.only in (None, name)]
    return int(any(entry["outcome"] not in ("done", "skipped") for entry in asked))


if __name__ == "__main__":
    sys.exit(main())
