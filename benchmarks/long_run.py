r"""Does a long run stay flat? Memory, open files, threads and step time of a run of thousands of tiny steps.

    python launch.py prepare --config=configs/quickstart.py --config.data.dir=data_dir/small \
        --config.data.synthetic_patches_per_fold=5
    python benchmarks/long_run.py --data_dir=data_dir/small --out=long_run

It trains a narrow model of the quickstart with a validation and two checkpoints an epoch, and looks at the process from
outside. `long_run/long_run.csv` and `long_run.png` hold what was seen, the last lines say how much it rose.
"""

import argparse
import csv
import pathlib
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import psutil
from matplotlib.figure import Figure

from nucseg_jax.run_folder.metrics_log import read_metrics

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS_BETWEEN_LOOKS = 1.0


class Look(NamedTuple):
    """The process at one moment.

    Attributes:
      step: steps logged so far.
      seconds: since the process began.
      rss_mib: resident memory, MiB.
      files: open files and sockets.
      threads: of Python, XLA, TensorStore.
      log_kib: size of metrics.jsonl, KiB.
    """

    step: int
    seconds: float
    rss_mib: float
    files: int
    threads: int
    log_kib: float


def command(data_dir: str, workdir: pathlib.Path, epochs: int, more: list[str]) -> list[str]:
    """A run of `epochs` epochs of 20 steps each."""
    fields = {
        "data.dir": data_dir,
        "model.width": 0.125,
        "train.tile_px": 32,
        "train.batch_size": 16,
        "data.synthetic_patches_per_fold": 5,
        "train.epochs": epochs,
        "train.lr": 1e-4,
        "train.checkpoint_every_steps": 10,
        "train.log_every_steps": 5,
        "eval.overlays": 2,
        "eval.time_inference": False,
    }
    return [
        *(sys.executable, str(ROOT / "launch.py"), "train", f"--config={ROOT / 'configs' / 'quickstart.py'}"),
        *(f"--config.{name}={value}" for name, value in fields.items()),
        *more,
        f"--workdir={workdir}",
    ]


def watch(process: subprocess.Popen, workdir: pathlib.Path) -> list[Look]:
    """Looks at a run every second until it ends."""
    seen, observed, begin = [], psutil.Process(process.pid), time.monotonic()
    metrics = workdir / "metrics.jsonl"
    while process.poll() is None:
        try:
            with observed.oneshot():
                rss, files, threads = (
                    observed.memory_info().rss,
                    observed.num_fds(),
                    observed.num_threads(),
                )
        except psutil.NoSuchProcess:
            break
        lines = read_metrics(metrics) if metrics.exists() else []
        size = metrics.stat().st_size if metrics.exists() else 0
        step = lines[-1]["step"] if lines else 0
        seen.append(Look(step, time.monotonic() - begin, rss / 2**20, files, threads, size / 2**10))
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return seen


def rise(looks: list[Look], name: str) -> tuple[float, float]:
    """Medians over the steps' second and last tenth, as far as looks fell there."""
    steps = np.array([look.step for look in looks])
    values = np.array([getattr(look, name) for look in looks])
    last = steps.max()
    early = values[(steps >= 0.1 * last) & (steps < 0.3 * last)]
    late = values[steps >= 0.8 * last]
    return float(np.median(early)), float(np.median(late))


def seconds_a_step(looks: list[Look]) -> tuple[float, float]:
    """Wall seconds a step, validation and checkpoints included: at 10 to 30 % of the steps, and from 80 %."""
    steps = np.array([look.step for look in looks])
    seconds = np.array([look.seconds for look in looks])
    last = steps.max()

    def between(low: float, high: float) -> float:
        inside = np.flatnonzero((steps >= low * last) & (steps <= high * last))
        first, end = inside[0], inside[-1]
        return float((seconds[end] - seconds[first]) / (steps[end] - steps[first]))

    return between(0.1, 0.3), between(0.8, 1.0)


def draw(looks: list[Look], path: pathlib.Path) -> None:
    """Memory, files, threads and log over steps."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    steps = [look.step for look in looks]
    names = {
        "rss_mib": "memory, MiB",
        "files": "open files",
        "threads": "threads",
        "log_kib": "metrics.jsonl, KiB",
    }
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, names.items(), strict=True):
        axes.plot(steps, [getattr(look, name) for look in looks], color="#0072B2")
        axes.set(title=title, xlabel="step", ylim=(0, None))
    figure.savefig(path, dpi=120)


def main() -> None:
    """Runs, watches, writes and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, type=pathlib.Path, help="a folder that is not there yet")
    parser.add_argument("--data_dir", required=True, help="of a data set of five painted patches a fold")
    parser.add_argument("--epochs", default=100, type=int)
    arguments, more = parser.parse_known_args()
    out: pathlib.Path = arguments.out
    out.mkdir(parents=True)
    run = out / "run"
    with (out / "output.txt").open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command(arguments.data_dir, run, arguments.epochs, more), stdout=output, stderr=subprocess.STDOUT
        )
        looks = watch(process, run)
    if process.returncode:
        sys.exit(f"the run ended with status {process.returncode}; see {out / 'output.txt'}")
    with (out / "long_run.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Look._fields)
        writer.writerows(looks)
    draw(looks, out / "long_run.png")
    print(
        f"{looks[-1].step:,} steps in {looks[-1].seconds:,.0f} s; medians at 10-30 % and from 80 % of the steps"
    )
    for name in ("rss_mib", "files", "threads"):
        early, late = rise(looks, name)
        print(f"{name:>16} {early:10.1f} {late:10.1f}")
    print("{:>16} {:10.4f} {:10.4f}".format("seconds a step", *seconds_a_step(looks)))


if __name__ == "__main__":
    main()
