"""The package against the same layers in PyTorch: training and inference, images per second, memory.

    make benchmark                                     # the whole table for this machine's CPU, or its GPU
    python benchmarks/versus_torch.py --quick
    python benchmarks/versus_torch.py --models unet_resnet50 --modes train --batch-sizes 8 --dtypes bfloat16

Needs PyTorch (extra `bench`); its models are in `nucseg_jax/torch_models` and are held to the package's, logits and
gradients, by `tests/parity/test_torch_models.py`. What is compared:

- Both sides take raw uint8 images that lie on the device, one fixed batch, no augmentation. A training step is
  forward, soft Dice, L2, backward, Adam and the losses as numbers on the device; the package's is the one of
  `launch.py train`, which also counts pixels and takes the gradient's norm. Inference is image to logits.
- PyTorch has channels_last, fused Adam, autocast for bfloat16, cuDNN's search and TensorFloat-32 on a GPU, each
  layer in the form that is fastest there; eager, torch.compile, and on a GPU torch.compile with CUDA graphs.
- Each contender is a process of its own. They take turns, A B C A B C, and only one computes at a time. On a CPU all
  are bound to the same `--threads` processors; PyTorch's pool is set to as many threads, XLA makes its own so; and
  all get huge pages (`runtime/huge_pages.py`).
- Compilation, without anybody's cache, warm-up and the first dispatch of each turn are not part of the rate. The ratio
  is taken round by round against the PyTorch mode with the higher median. Peak memory is the process's resident size
  (CPU) or what the allocator gave out (GPU), since the warm-up; for the package on a GPU since the start.
- Other work on the machine makes the ratios worthless: PyTorch's threads wait for each other at every layer and lose
  more by it than XLA's. The load average is printed with the table.
"""

import argparse
import contextlib
import dataclasses
import datetime as dt
import itertools
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Run as a file, Python would look for `benchmarks` and `configs` beside it.
sys.path.insert(0, str(ROOT))

from benchmarks.versus.case import OURS, Case, paper_models
from benchmarks.versus.machine import describe_machine
from benchmarks.versus.process import Worker, WorkerError
from benchmarks.versus.table import header, ratio, row
from nucseg_jax.runtime.huge_pages import with_huge_pages

CONTENDERS = {
    "cpu": (OURS, "eager", "compile"),
    "cuda": (OURS, "eager", "compile", "compile_reduce_overhead"),
}
MODES = ("train", "inference")
QUICK = dict(batch_sizes=[2], rounds=3, turn_s=1.0)
# So that the threads of the last turn have gone to sleep.
PAUSE_S = 0.2


def measure(cases: Sequence[Case], options: argparse.Namespace) -> dict[str, Any]:
    """All contenders of one model, mode, batch size and dtype, turn by turn.

    Args:
      cases: one a contender.
      options: of the command line.

    Returns:
      `contenders`: by name, `images_per_second` by round, `steps` a turn, `steps_per_dispatch`, `compile_s`,
      `peak_mib`, `about`; or `failed` and `stderr`. `ratio`, see `table.ratio`, and `load_average` before the start.
    """
    load = os.getloadavg()[0]
    results: dict[str, dict[str, Any]] = {case.contender: {"images_per_second": []} for case in cases}
    workers: dict[str, Worker] = {}

    @contextlib.contextmanager
    def reported(name: str) -> Iterator[None]:
        try:
            yield
        except WorkerError as error:
            workers.pop(name, None)
            results[name] |= {"failed": str(error), "stderr": error.tail}

    def run(name: str, steps: int) -> float:
        time.sleep(PAUSE_S)
        return workers[name].ask({"do": "run", "steps": steps}, options.timeout_s)["seconds"]

    try:
        for case in cases:
            name = case.contender
            with reported(name):
                workers[name] = Worker(worker_environment(case))
                request = {"do": "start", "case": dataclasses.asdict(case)}
                results[name] |= workers[name].ask(request, options.timeout_s)
                at_once = results[name]["steps_per_dispatch"]
                results[name]["steps"] = at_once * math.ceil(options.turn_s / run(name, at_once))
        for _ in range(options.rounds):
            for case in cases:
                name = case.contender
                if name in workers:
                    with reported(name):
                        steps = results[name]["steps"]
                        rate = steps * case.batch_size / run(name, steps)
                        results[name]["images_per_second"].append(rate)
        for name in list(workers):
            with reported(name):
                results[name] |= workers[name].ask({"do": "memory"}, options.timeout_s)
    finally:
        for worker in workers.values():
            worker.end()
    return {"contenders": results, "ratio": ratio(results), "load_average": load}


def worker_environment(case: Case) -> dict[str, str]:
    """Threads, backend, huge pages, nobody's compilation cache, and no claim to all of a GPU's memory."""
    threads = (
        {}
        if case.device != "cpu"
        else dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(case.threads))
    )
    return {
        **with_huge_pages(os.environ),
        **threads,
        "JAX_PLATFORMS": case.device,
        "JAX_ENABLE_COMPILATION_CACHE": "false",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def find_device() -> str:
    """'cuda' where PyTorch sees a GPU; asked in another process, so that this one holds none."""
    probe = "import torch; print('cuda' if torch.cuda.is_available() else 'cpu')"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        sys.exit(
            f"error: PyTorch cannot be imported: {last}\nexpected: pip install '.[bench]', or make benchmark"
        )
    return done.stdout.strip()


def description(report: dict[str, Any]) -> str:
    """What the table was measured on and with, in three lines."""
    machine, options = report["machine"], report["options"]
    about: dict[str, dict[str, Any]] = {}
    for case in report["cases"]:
        about |= {name: row["about"] for name, row in case["contenders"].items() if "about" in row}
    ours = about.pop(OURS, None)
    theirs = next(iter(about.values()), None)
    jax = "jax not run" if ours is None else f"jax {ours['packages']['jax']}, commit {ours['git']['commit']}"
    torch = "torch not run" if theirs is None else f"torch {theirs['torch']}"
    device = f"{options['threads']} threads" if options["device"] == "cpu" else theirs and theirs["device"]
    loads = [case["load_average"] for case in report["cases"]]
    processors = f"{machine['processors']} processors, {machine['memory_gib']} GiB"
    return (
        f"{report['date']}; {machine['cpu']}, {processors}; {device};\n"
        f"python {machine['python']}, {jax}, {torch};\n"
        f"{options['px']}x{options['px']}; {options['rounds']} rounds of at least {options['turn_s']:g} s a turn;"
        f" load average before the cases {min(loads):.1f} to {max(loads):.1f}."
    )


def failures(report: dict[str, Any]) -> Iterator[str]:
    """Each failure with the end of what its process wrote."""
    for case in report["cases"]:
        for name, contender in case["contenders"].items():
            if contender.get("failed"):
                where = f"{case['model']} {case['mode']} batch {case['batch_size']} {case['dtype']}, {name}"
                yield f"{where}: {contender['failed']}\n{contender['stderr']}\n"


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; device found, lists filled in."""
    models = list(paper_models())
    contenders = sorted({name for names in CONTENDERS.values() for name in names} | {"compile_freezing"})
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=models, default=models)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[2, 8])
    parser.add_argument("--dtypes", nargs="+", choices=("float32", "bfloat16"), default=["float32"])
    parser.add_argument("--device", choices=("auto", *CONTENDERS), default="auto")
    parser.add_argument(
        "--contenders", nargs="+", choices=contenders, help="default: ours, eager, compile; CUDA graphs"
    )
    parser.add_argument("--threads", type=int, default=2, help="on a CPU, of each contender")
    parser.add_argument("--px", type=int, default=256, help="side of the images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--turn-s", type=float, default=3.0, help="a turn takes as many steps as fill this time"
    )
    parser.add_argument("--timeout-s", type=float, default=1200.0, help="for one answer of a contender")
    parser.add_argument("--quick", action="store_true", help="batch 2, three rounds, turns of a second")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs" / "versus_torch.json")
    options = parser.parse_args(arguments)
    if options.quick:
        for name, value in QUICK.items():
            setattr(options, name, value)
    if options.device == "auto":
        options.device = find_device()
    options.contenders = options.contenders or list(CONTENDERS[options.device])
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures case after case; the table grows on standard output, the JSON file with it."""
    options = parse_options(arguments)
    # Ends in `measure`'s clean-up, as an interrupt does, so that no contender is left behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    report: dict[str, Any] = {
        "date": dt.date.today().isoformat(),
        "machine": describe_machine(),
        "options": {key: value for key, value in vars(options).items() if key != "out"},
        "cases": [],
    }
    print(header(options.contenders), flush=True)
    combinations = itertools.product(options.models, options.modes, options.batch_sizes, options.dtypes)
    for model, mode, batch_size, dtype in combinations:
        axes = dict(model=model, mode=mode, batch_size=batch_size, dtype=dtype)
        cases = [
            Case(contender=name, px=options.px, device=options.device, threads=options.threads, **axes)
            for name in options.contenders
        ]
        report["cases"].append(axes | measure(cases, options))
        print(row(report["cases"][-1], options.contenders), flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"\n{description(report)}\n\n{options.out}")
    for failure in failures(report):
        print(f"\n{failure}", file=sys.stderr)
    if any(case["ratio"] is None for case in report["cases"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
