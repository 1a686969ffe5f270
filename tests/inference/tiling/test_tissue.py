"""Tissue is told from glass by its density above the slide's own white."""

import numpy as np
import pytest

from nucseg_jax.inference.tiling.tiles import TilePlan
from nucseg_jax.inference.tiling.tissue import averaged, tiles_with, tissue_mask


def slide(density, *, white=(240, 238, 242)):
    """Glass with noise and a patch of 10 x 10 px of the given density in green alone."""
    rng = np.random.default_rng(0)
    image = np.broadcast_to(np.array(white, np.float64), (60, 60, 3)) * rng.uniform(0.98, 1.0, (60, 60, 1))
    image[20:30, 40:50, 1] *= 10.0**-density
    return np.rint(image).astype(np.uint8)


@pytest.mark.parametrize("white", [(255, 255, 255), (240, 238, 242), (180, 190, 170)])
def test_the_palest_stroma_is_tissue_and_noisy_glass_is_none_whatever_the_light(white):
    """The palest stroma has a density of .1; a share of stain in one colour is enough."""
    expected = np.zeros((60, 60), bool)
    expected[20:30, 40:50] = True
    np.testing.assert_array_equal(tissue_mask(slide(0.1, white=white)), expected)
    assert not tissue_mask(slide(0.01, white=white)).any()


def test_means_of_squares_are_those_of_a_loop_also_at_the_far_edges():
    image = np.random.default_rng(0).integers(0, 256, (13, 9, 3), np.uint8)
    found = averaged(image, 4)
    assert found.shape == (4, 3, 3)
    for row in range(4):
        for column in range(3):
            square = image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].reshape(-1, 3)
            np.testing.assert_array_equal(found[row, column], np.rint(square.mean(axis=0)))


def test_tiles_are_those_that_a_loop_finds():
    """With a cell more on every side, so that nothing at the border of a coarse mask is lost."""
    plan = TilePlan(200, 300, 64, 16)
    rng = np.random.default_rng(0)
    for shape in ((50, 75), (20, 30), (200, 300)):
        mask = rng.random(shape) < 3 / np.prod(shape)
        cell = np.array((200, 300)) / shape
        found = tiles_with(mask, plan)
        assert found.shape == (plan.rows, plan.columns)
        for row, column in np.ndindex(found.shape):
            begin = np.array((row, column)) * plan.stride_px
            first = np.maximum(np.floor(begin / cell).astype(int) - 1, 0)
            end = np.ceil(np.minimum(begin + plan.tile_px, (200, 300)) / cell).astype(int) + 1
            assert found[row, column] == mask[first[0] : end[0], first[1] : end[1]].any()
