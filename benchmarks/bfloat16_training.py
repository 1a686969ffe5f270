"""Does training in bfloat16 end where float32 does? The quickstart's training with three seeds in each dtype.

    python launch.py prepare --config=configs/quickstart.py
    python benchmarks/bfloat16_training.py [--seeds=3] [--epochs=12] [--out=runs/bfloat16_training]

Each run is `launch.py train` in a process of its own, float32 and bfloat16 in turns; runs that are there already are
not trained again. Prints test micro Dice of each, the means and their difference, which should be below .02.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from nucseg_jax.cli.table import render

ROOT = pathlib.Path(__file__).resolve().parent.parent
DTYPES = ("float32", "bfloat16")
# Two means over three seeds that differ by less are the same for all that can be told.
LIMIT = 0.02


def train(out: pathlib.Path, dtype: str, seed: int, more: list[str]) -> float:
    """Trains, unless it was done before; returns the micro Dice of the test split."""
    workdir = out / f"{dtype}_seed{seed}"
    command = [
        *(sys.executable, str(ROOT / "launch.py"), "train"),
        f"--config={ROOT / 'configs' / 'quickstart.py'}",
        f"--config.train.dtype={dtype}",
        f"--config.train.seed={seed}",
        *more,
        f"--workdir={workdir}",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    results = json.loads((workdir / "results.json").read_text(encoding="utf-8"))
    return results["test"]["micro"]["dice"]


def main() -> None:
    """Runs the benchmark; exit status 1 if the means differ by more than `LIMIT`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=None, help="the quickstart's own")
    parser.add_argument("--data_dir", default=None, help="where the quickstart's data were prepared")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/bfloat16_training"))
    given = parser.parse_args()
    more = [] if given.epochs is None else [f"--config.train.epochs={given.epochs}"]
    more += [] if given.data_dir is None else [f"--config.data.dir={given.data_dir}"]
    out = given.out.absolute()
    dice: dict[str, list[float]] = {dtype: [] for dtype in DTYPES}
    for seed in range(given.seeds):
        for dtype in DTYPES:
            dice[dtype].append(train(out, dtype, seed, more))
            print(f"seed {seed} {dtype}: test micro Dice {dice[dtype][-1]:.4f}", flush=True)
    means = {dtype: statistics.mean(values) for dtype, values in dice.items()}
    difference = means["bfloat16"] - means["float32"]
    rows = [
        (dtype, *(f"{value:.4f}" for value in values), f"{means[dtype]:.4f}")
        for dtype, values in dice.items()
    ]
    print()
    print(render(("dtype", *(f"seed {seed}" for seed in range(given.seeds)), "mean"), rows))
    print(f"\nbfloat16 - float32: {difference:+.4f}; limit {LIMIT}")
    sys.exit(abs(difference) > LIMIT)


if __name__ == "__main__":
    main()
