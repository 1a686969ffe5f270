import jax
import numpy as np
import pytest
from scipy import ndimage

from nucseg_jax.core.errors import UserError
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.parting import PARTINGS
from nucseg_jax.heads.decoding.quantize import (
    LEVELS,
    class_levels,
    map_levels,
    maps_of_levels,
    nearest_class_levels,
    nearest_map_levels,
)
from tests.heads.decoding.binary_pq import binary_pq
from tests.heads.decoding.perfect_maps import PERFECT, level_of, touching_discs


def test_levels_are_the_nearest_and_come_back_as_they_are():
    maps = np.random.default_rng(0).uniform(-1.2, 1.2, (50, 40, 2)).astype(np.float32)
    levels = map_levels(maps)
    assert levels.dtype == np.int8
    assert np.abs(maps_of_levels(levels) - np.clip(maps, -1, 1)).max() <= 0.5 / LEVELS + 1e-6
    np.testing.assert_array_equal(map_levels(maps_of_levels(levels)), levels)


def test_the_device_rounds_as_the_host_does():
    """Halves too, and the neighbours of each in float32, where rounding decides."""
    halves = (np.arange(-2 * LEVELS - 3, 2 * LEVELS + 4) / 2 / LEVELS).astype(np.float32)
    maps = np.concatenate([halves, np.nextafter(halves, np.float32(-2)), np.nextafter(halves, np.float32(2))])
    np.testing.assert_array_equal(jax.jit(nearest_map_levels)(maps), map_levels(maps))
    shares = np.clip((np.arange(511) / 510).astype(np.float32), 0, 1)
    shares = np.concatenate([shares, np.nextafter(shares, np.float32(2))])
    np.testing.assert_array_equal(jax.jit(nearest_class_levels)(shares), class_levels(shares))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_maps_and_probabilities_that_are_no_numbers_are_refused(bad):
    for make in (map_levels, class_levels):
        with pytest.raises(UserError):
            make(np.array([[0.0, bad]], np.float32))


@pytest.mark.parametrize("bad", [-0.01, 1.01])
def test_classes_have_probabilities(bad):
    with pytest.raises(UserError):
        class_levels(np.array([bad]))
    # The rounding of a softmax is none of it.
    assert class_levels(np.array([1 + 1e-6])).tolist() == [255]


@pytest.mark.parametrize("head", list(PERFECT))
def test_nuclei_of_whole_127ths_are_those_of_floats_but_for_few_pixels(head):
    rule = NucleusRule(smallest_um2=0.0, parting=PARTINGS[head]())
    for seed in range(4):
        truth = touching_discs(seed)
        maps = PERFECT[head](truth)
        from_levels = find_nuclei(level_of(truth), map_levels(maps), rule, microns_per_px=0.25)
        from_floats = np.zeros_like(from_levels)
        pieces, count = ndimage.label(truth)
        for number in range(1, count + 1):
            parted = rule.parting.part(pieces == number, maps, 0.25)
            from_floats[parted > 0] = parted[parted > 0] + from_floats.max()
        assert binary_pq(from_floats, from_levels) >= 0.98
