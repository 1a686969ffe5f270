import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.heads.decoding.decode_patches import decode_patches
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.in_processes import map_in_processes
from nucseg_jax.heads.decoding.part_by_hover import HoverParting
from nucseg_jax.heads.decoding.quantize import map_levels
from tests.heads.decoding.perfect_maps import hover, level_of, touching_discs

RULE = NucleusRule(parting=HoverParting())


def patches(count: int):
    for seed in range(count):
        truth = touching_discs(seed, size=64, count=8)
        yield level_of(truth), map_levels(hover(truth))


def test_processes_give_what_one_gives_in_its_order():
    """Two workers, and a patch that cannot be decoded at its turn: all before it come first."""
    expected = [find_nuclei(*patch, RULE, microns_per_px=0.25) for patch in patches(11)]
    for found, patch in zip(decode_patches(patches(11), RULE, microns_per_px=0.25), expected, strict=True):
        np.testing.assert_array_equal(found, patch)

    taken = []

    def source():
        for index, patch in enumerate([*patches(11), (np.zeros((4, 4), np.uint8), None)]):
            taken.append(index)
            yield patch

    decoded = decode_patches(source(), RULE, microns_per_px=0.25, workers=2)
    np.testing.assert_array_equal(next(decoded), expected[0])
    # No more wait than the bound.
    assert len(taken) == 8
    for patch in expected[1:]:
        np.testing.assert_array_equal(next(decoded), patch)
    with pytest.raises(UserError, match="maps"):
        next(decoded)


def test_no_worker_is_refused():
    with pytest.raises(UserError, match="workers is 0"):
        map_in_processes(abs, [1], workers=0)
