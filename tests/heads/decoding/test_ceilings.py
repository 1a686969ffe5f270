"""Perfect maps of real and painted masks decode to the masks that they were made from."""

import numpy as np
import pytest

from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.parting import PARTINGS
from nucseg_jax.heads.decoding.quantize import map_levels
from tests.heads.decoding.binary_pq import binary_pq
from tests.heads.decoding.perfect_maps import PERFECT, level_of, touching_discs

CEILING = 0.98


def mean_pq(patches, head: str) -> float:
    """Mean over patches of nuclei from perfect maps against the truth; at .25 microns per pixel, none dropped."""
    rule = NucleusRule(smallest_um2=0.0, parting=PARTINGS[head]())
    return float(
        np.nanmean(
            [
                binary_pq(
                    truth,
                    find_nuclei(level_of(truth), map_levels(PERFECT[head](truth)), rule, microns_per_px=0.25),
                )
                for truth in patches
            ]
        )
    )


@pytest.mark.parametrize("head", list(PERFECT))
def test_painted_discs_that_touch_are_told_apart(head):
    discs = [touching_discs(seed) for seed in range(4)]
    shape = np.mean(
        [
            binary_pq(each, find_nuclei(level_of(each), None, NucleusRule(), microns_per_px=0.25))
            for each in discs
        ]
    )
    assert mean_pq(discs, head) >= CEILING
    # By their shape alone some are not: the maps are what does it.
    assert shape < CEILING


@pytest.mark.parametrize("head", list(PERFECT))
@pytest.mark.parametrize(
    ("file", "rows"),
    [("pannuke_breast_25.npz", slice(None, None, 3)), ("monuseg_folds.npz", slice(None, None, 24))],
)
def test_real_masks_are_recovered(shared, file, rows, head):
    patches = np.load(shared / "data" / file)["instance"][rows]
    assert mean_pq(patches, head) >= CEILING
