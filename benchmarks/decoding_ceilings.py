"""The best that a decoder of maps can reach: perfect maps of real masks, blurred in place of a network's uncertainty.

python -m benchmarks.decoding_ceilings --data=FOLDER

FOLDER has pannuke_breast_25.npz and monuseg_folds.npz (every third patch is used), with `instance` [N, H, W].
Foreground and maps are blurred by a Gaussian of 0, 1 and 2 px. Scores are binary panoptic quality, mean over patches.
`--smallest_um2` is the size below which nuclei are dropped; `--hover_depth` and `--distance_depth` are those of the
heads. The column "floats" is the score of maps that were not rounded to 127ths, less the score of those that were.
"""

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.official import official_hover
from nucseg_jax.heads.decoding.part_by_distance import DistanceParting
from nucseg_jax.heads.decoding.part_by_hover import HoverParting
from nucseg_jax.heads.decoding.quantize import map_levels
from tests.heads.decoding.binary_pq import binary_pq
from tests.heads.decoding.perfect_maps import PERFECT

MICRONS = 0.25
BLURS = (0, 1, 2)
Maps = tuple[np.ndarray, np.ndarray]
Decoder = Callable[[np.ndarray, np.ndarray], np.ndarray]


def blurred(truth: np.ndarray, maps: np.ndarray, blur: int) -> Maps:
    """Probability float32 [h, w] and maps float32 [h, w, M]."""
    probability = (truth > 0).astype(np.float32)
    if not blur:
        return probability, maps
    return ndimage.gaussian_filter(probability, blur), ndimage.gaussian_filter(maps, (blur, blur, 0))


def level(probability: np.ndarray) -> np.ndarray:
    """uint8, 128 and above exactly where the probability > .5."""
    return np.where(probability > 0.5, 255, 0).astype(np.uint8)


def by_rule(rule: NucleusRule) -> Decoder:
    """Decodes rounded maps, as everything in the package does."""
    return lambda probability, maps: find_nuclei(
        level(probability), map_levels(maps), rule, microns_per_px=MICRONS
    )


def by_floats(rule: NucleusRule) -> Decoder:
    """Decodes maps that are not rounded, piece by piece."""

    def decode(probability: np.ndarray, maps: np.ndarray) -> np.ndarray:
        nuclei = np.zeros(probability.shape, np.int32)
        pieces, _ = ndimage.label(probability > 0.5)
        for number, where in enumerate(ndimage.find_objects(pieces), start=1):
            parts = rule.parting.part(pieces[where] == number, maps[where], MICRONS)
            sizes = np.bincount(parts.ravel())
            kept = (parts > 0) & (sizes >= rule.smallest_um2 / MICRONS**2)[parts]
            nuclei[where][kept] = parts[kept] + nuclei.max()
        return nuclei

    return decode


def components(probability: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Foreground as it is connected."""
    return ndimage.label(probability > 0.5)[0]


def patches_of(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Instance maps of both data sets, by name."""
    pannuke = np.load(folder / "pannuke_breast_25.npz")["instance"]
    monuseg = np.load(folder / "monuseg_folds.npz")["instance"][::3]
    return {"PanNuke": pannuke.astype(np.int32), "MoNuSeg": monuseg.astype(np.int32)}


def scores(truths: np.ndarray, head: str, decode: Decoder) -> tuple[list[float], float]:
    """Mean score at each blur, and milliseconds a patch."""
    means, seconds = [], 0.0
    for blur in BLURS:
        each = []
        for truth in truths:
            perfect = PERFECT[head](truth) if head in PERFECT else np.zeros((*truth.shape, 0), np.float32)
            given = blurred(truth, perfect, blur)
            begin = time.perf_counter()
            found = decode(*given)
            seconds += time.perf_counter() - begin
            each.append(binary_pq(truth, found))
        means.append(float(np.nanmean(each)))
    return means, 1000 * seconds / len(truths) / len(BLURS)


def ceilings(data: dict[str, np.ndarray], rules: dict[str, NucleusRule]) -> None:
    """Prints the table of scores."""
    print("| decoder | data | blur 0 | 1 | 2 | floats | ms a patch |")
    print("|---|---|---|---|---|---|---|")
    decoders: list[tuple[str, str, Decoder, Decoder | None]] = [
        ("connected components", "none", components, None),
        ("HoVer as published", "hover", official_hover, None),
        *((head, head, by_rule(rule), by_floats(rule)) for head, rule in rules.items()),
    ]
    for name, head, decode, in_floats in decoders:
        for data_set, truths in data.items():
            means, milliseconds = scores(truths, head, decode)
            change = "-"
            if in_floats is not None and head != "none":
                others, _ = scores(truths, head, in_floats)
                change = " ".join(f"{other - mean:+.4f}" for other, mean in zip(others, means, strict=True))
            cells = " | ".join(f"{mean:.4f}" for mean in means)
            print(f"| {name} | {data_set} | {cells} | {change} | {milliseconds:.1f} |", flush=True)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--smallest_um2", type=float, default=0.0)
    parser.add_argument("--hover_depth", type=float, default=HoverParting().depth)
    parser.add_argument("--distance_depth", type=float, default=DistanceParting().depth)
    arguments = parser.parse_args()
    plain = NucleusRule(smallest_um2=arguments.smallest_um2)
    rules = {
        "none": plain,
        "hover": dataclasses.replace(plain, parting=HoverParting(depth=arguments.hover_depth)),
        "distance": dataclasses.replace(plain, parting=DistanceParting(depth=arguments.distance_depth)),
    }
    ceilings(patches_of(arguments.data), rules)


if __name__ == "__main__":
    main()
