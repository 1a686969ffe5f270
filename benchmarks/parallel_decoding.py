"""Nuclei found and scored on one process and on several: real masks, blurred by 1 px in place of a network.

python -m benchmarks.parallel_decoding --data=../shared/data/monuseg_folds.npz --patches 300 --workers 1 2

The file has `instance` [N, H, W]; its patches are repeated. `score` is what the end of a training does with each patch
of a split, `tune` what it does with 100 patches of the validation split. Counts of workers are interleaved. CPU time is
that of this process and its workers; their start is in all figures.
"""

import argparse
import functools
import os
import pathlib
import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from nucseg_jax.evaluation.instances.binary_quality import binary_panoptic_quality
from nucseg_jax.evaluation.instances.nucleus_scorer import NucleusScorer, TruePatch
from nucseg_jax.heads.decoding.band import Band, to_band
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.parting import PARTINGS
from nucseg_jax.heads.decoding.tuning import tune
from tests.heads.decoding.perfect_maps import PERFECT

MICRONS = 0.25


def outputs_of(truth: np.ndarray, head: str) -> Band:
    """Perfect outputs of a model of one class, blurred."""
    probability = (truth > 0).astype(np.float32)[..., None]
    maps = PERFECT[head](truth) if head in PERFECT else probability[..., :0]
    values = np.concatenate([probability, maps], axis=-1).astype(np.float32)
    blurred = ndimage.gaussian_filter(values, (1, 1, 0))
    return to_band(blurred, 0.5, maps.shape[-1])


def run(work: str, scorer: NucleusScorer, patches: list[TruePatch], workers: int) -> None:
    """Scores the patches, or tunes the rule on them."""
    if work == "score":
        for _ in scorer.count_patches(patches, workers=workers):
            pass
        return
    scored = [(each.band.level, each.band.maps, each.truth) for each in patches]
    tune(scored, scorer.rule, binary_panoptic_quality, microns_per_px=MICRONS, workers=workers)


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and seconds of CPU time of all processes."""
    wall, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    return time.perf_counter() - wall, sum(after[:4]) - sum(before[:4])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--patches", type=int, default=300)
    parser.add_argument("--distinct", type=int, default=50)
    parser.add_argument("--heads", nargs="+", choices=list(PARTINGS), default=list(PARTINGS))
    parser.add_argument("--work", nargs="+", choices=["score", "tune"], default=["score", "tune"])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    truths = np.load(arguments.data)["instance"]
    truths = truths[:: max(1, len(truths) // arguments.distinct)]
    print(
        "| head | work | patches | workers | patches/s | ms of CPU time a patch |\n|---|---|---|---|---|---|"
    )
    for head in arguments.heads:
        rule = NucleusRule(parting=PARTINGS[head](), smallest_um2=0.625)
        scorer = NucleusScorer(rule, 0, MICRONS)
        distinct = [
            TruePatch(outputs_of(truth, head), truth, (truth > 0).astype(np.uint8)) for truth in truths
        ]
        for work in arguments.work:
            count = arguments.patches if work == "score" else min(100, arguments.patches)
            patches = [distinct[number % len(distinct)] for number in range(count)]
            for _ in range(arguments.rounds):
                for workers in arguments.workers:
                    wall, cpu = seconds_of(functools.partial(run, work, scorer, patches, workers))
                    cells = f"{count / wall:.1f} | {1e3 * cpu / count:.1f}"
                    print(f"| {head} | {work} | {count} | {workers} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
