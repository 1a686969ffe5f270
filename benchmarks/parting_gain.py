"""How much of a run's panoptic quality hangs on how touching nuclei are parted, and how much on its mask.

python -m benchmarks.parting_gain --workdir=RUN [--split=test] [--smallest_um2=5]

The mask of a run is parted in three ways: by its shape, by the maps of the run's instance head if it has one, and by
the true nuclei, which is the most that any instance head could gain with this mask: each pixel of a piece of the mask
goes to the nearest true nucleus that has pixels in the piece. Last, the true mask parted by shape. Scores are binary
panoptic quality, mean over the patches with nuclei, at thresholds of the probability. Nuclei below --smallest_um2 are
dropped in all of them; no rule is chosen here.
"""

import argparse
import dataclasses

import jax
import numpy as np
from scipy import ndimage

from nucseg_jax.evaluation.step import placed_batches
from nucseg_jax.experiment import make_evaluator
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.part_by_shape import ShapeParting
from nucseg_jax.load import load_run
from nucseg_jax.run import Run
from tests.heads.decoding.binary_pq import binary_pq

THRESHOLDS = (0.3, 0.4, 0.5, 0.6)


def parted_by_truth(mask: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the nuclei of a mask whose every pixel goes to the nearest true nucleus in its piece, int32 [h, w].

    A piece without a true nucleus is one nucleus.

    >>> parted_by_truth(np.array([[1, 1, 1, 1, 0, 1]]) > 0, np.array([[7, 0, 0, 9, 0, 0]])).tolist()
    [[1, 1, 2, 2, 0, 3]]
    """
    pieces, number = ndimage.label(mask)
    nuclei = np.zeros(mask.shape, np.int32)
    taken = 0
    for piece, where in zip(range(1, number + 1), ndimage.find_objects(pieces), strict=True):
        is_piece = pieces[where] == piece
        owners = np.where(is_piece, truth[where], 0)
        if owners.any():
            nearest = ndimage.distance_transform_edt(owners == 0, return_distances=False, return_indices=True)
            _, parts = np.unique(owners[tuple(nearest)], return_inverse=True)
            parts = parts.reshape(is_piece.shape)
        else:
            parts = np.zeros(is_piece.shape, int)
        np.copyto(nuclei[where], parts + taken + 1, where=is_piece, casting="unsafe")
        taken += int(parts.max()) + 1
    return nuclei


def without_small(nuclei: np.ndarray, smallest_px: float) -> np.ndarray:
    """Returns the nuclei that are not smaller."""
    keeps = np.bincount(nuclei.ravel()) >= smallest_px
    return np.where(keeps[nuclei], nuclei, 0)


def scores(run: Run, split: str, smallest_um2: float) -> dict[str, dict[float, float]]:
    """Returns by way of parting and threshold the mean binary panoptic quality."""
    experiment = run.experiment
    config = dataclasses.replace(
        experiment.config, eval=dataclasses.replace(experiment.config.eval, instances=True)
    )
    experiment = dataclasses.replace(experiment, config=config)
    data = experiment.plan([split]).read_or_open([split])
    step = make_evaluator(experiment, run.mesh, has_void=data.info.has_void, stain=run.stain).step
    microns = data.info.microns_per_px
    # Tuning may have preferred shape to the maps.
    by_maps = run.rule if run.rule.parting.maps else experiment.default_rule
    by_shape = NucleusRule(parting=ShapeParting(), smallest_um2=smallest_um2)
    found: dict[str, dict[float, list[float]]] = {}
    for batch in placed_batches(data.patches, data.rows(split), batch_size=8, mesh=run.mesh):
        seen = jax.device_get(step(run.variables, batch))
        for place in np.flatnonzero(seen.valid):
            truth, level = seen.instance[place].astype(np.int32), seen.level[place]
            if not truth.any():
                continue
            maps = None if seen.maps is None else seen.maps[place]
            for threshold in THRESHOLDS:
                shape = dataclasses.replace(by_shape, threshold=threshold)
                own = dataclasses.replace(by_maps, threshold=threshold, smallest_um2=smallest_um2)
                ways = {
                    "shape": find_nuclei(level, None, shape, microns_per_px=microns),
                    "the true nuclei": without_small(
                        parted_by_truth(level >= shape.threshold_level, truth), smallest_um2 / microns**2
                    ),
                    "the true mask, by shape": find_nuclei(
                        np.where(truth > 0, 255, 0).astype(np.uint8), None, shape, microns_per_px=microns
                    ),
                }
                if maps is not None and maps.shape[-1]:
                    ways[f"the {by_maps.parting.head} maps"] = find_nuclei(
                        level, maps, own, microns_per_px=microns
                    )
                for way, nuclei in ways.items():
                    found.setdefault(way, {}).setdefault(threshold, []).append(binary_pq(truth, nuclei))
    return {
        way: {threshold: float(np.mean(values)) for threshold, values in of_way.items()}
        for way, of_way in found.items()
    }


def main() -> None:
    """Prints a row for each way of parting."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--smallest_um2", type=float, default=5.0)
    arguments = parser.parse_args()
    table = scores(load_run(arguments.workdir), arguments.split, arguments.smallest_um2)
    print(f"{'parted by':<26}" + "".join(f"> {threshold:<7}" for threshold in THRESHOLDS))
    for way, of_way in table.items():
        print(f"{way:<26}" + "".join(f"{of_way[threshold]:<9.4f}" for threshold in THRESHOLDS))


if __name__ == "__main__":
    main()
