"""Costs of the instance metrics of a fold on the host: seconds for 2,700 patches of 256 px, one thread.

    python benchmarks/instance_metrics.py --patches=../shared/data/monuseg_folds.npz

The file holds `instance` integer [N, 256, 256] and `shape_class` uint8 of the same shape; its patches are repeated. A
prediction is the truth moved by up to 3 px, with a tenth of the nuclei lost, a tenth joined to another, and a fifth of
the classes drawn at random.
"""

import argparse
import pathlib
import time

import numpy as np

from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.instances.image_counts import count_image
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts

PATCHES = 2700
CLASSES = len(PANNUKE.classes)


def perturbed(
    truth: np.ndarray, label: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a predicted map, uint32 [H, W], and the class of each id, uint8 [K + 1]."""
    K = int(truth.max())
    id_of = np.arange(K + 1, dtype=np.uint32)
    change = rng.random(K + 1)
    id_of[change < 0.1] = 0
    id_of[change > 0.9] = np.maximum(id_of[change > 0.9] - 1, 0)
    id_of[0] = 0
    class_of: np.ndarray = np.zeros(K + 1, np.uint8)
    class_of[truth] = label
    drawn = rng.random(K + 1) < 0.2
    class_of[drawn] = rng.integers(1, CLASSES + 1, drawn.sum())
    class_of[class_of == 0] = 1
    return id_of[np.roll(truth, rng.integers(-3, 4, 2), axis=(0, 1))], class_of


def main() -> None:
    """Prints seconds of counting and of scoring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patches", type=pathlib.Path, required=True)
    with np.load(parser.parse_args().patches) as stored:
        truth, label = stored["instance"], stored["shape_class"]
    rng = np.random.default_rng(0)
    rows = np.arange(PATCHES) % len(truth)
    predictions = [perturbed(truth[row], label[row], rng) for row in rows]
    start = time.perf_counter()
    images = [
        count_image(truth[row], label[row], *prediction, num_classes=CLASSES, microns_per_px=0.25)
        for row, prediction in zip(rows, predictions, strict=True)
    ]
    counted = time.perf_counter()
    groups = [int(row) % len(PANNUKE.groups) for row in rows]
    counts = InstanceCounts.of_images(images, index=range(PATCHES), group=groups)
    scores = counts.scores(PANNUKE)["instances"]
    scored = time.perf_counter()
    nuclei = scores["nuclei"]["truth"] / PATCHES
    print(f"{PATCHES:,} patches of {truth.shape[1]} px with {nuclei:.0f} nuclei each")
    print(f"counted in {counted - start:.2f} s, {(counted - start) / PATCHES * 1e3:.2f} ms a patch")
    print(f"scored in {scored - counted:.2f} s")
    print(f"bPQ {scores['tissue']['bpq']:.4f}, mPQ {scores['tissue']['mpq']:.4f}")


if __name__ == "__main__":
    main()
