"""The decoder of HoVer maps against its definition."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import watershed

from nucseg_jax.heads.decoding.part_by_hover import edge_strength, part_by_hover
from nucseg_jax.heads.decoding.sobel import sobel_kernels
from tests.heads.decoding.scenes import assert_same_up_to_numbers, noise, piece_of


def slow_edge_strength(maps: np.ndarray, width: int) -> np.ndarray:
    derivative, smoothing = sobel_kernels(width)
    falls = []
    for channel, kernel in enumerate((np.outer(smoothing, derivative), np.outer(derivative, smoothing))):
        padded = np.pad(maps[..., channel].astype(np.float64), width // 2)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width))
        falls.append(-(windows * kernel).sum(axis=(2, 3)) / kernel[kernel > 0].sum())
    return np.maximum(*falls)


@pytest.mark.parametrize("width", [3, 5, 11])
def test_edge_strength_is_the_sobel_slope_over_its_positive_weights(width):
    maps = noise(3, (40, 30, 2), 1.0)
    np.testing.assert_allclose(edge_strength(maps, width), slow_edge_strength(maps, width), atol=1e-5)
    # From 1 to -1 is a step of 2, from 1 to the background one of 1.
    step = np.zeros((60, 60, 2), np.float32)
    step[:, :30, 0], step[:, 30:, 0] = 1.0, -1.0
    strength = edge_strength(step, width)
    assert strength[30, 29] == pytest.approx(2.0, rel=1 / width)
    step[:, 30:, 0] = 0.0
    assert edge_strength(step, width)[30, 29] == pytest.approx(1.0, rel=1 / width)


def test_kernels_are_those_of_opencv():
    """`cv2.getDerivKernels(1, 0, 5)` and the row of 7 px."""
    for one, other in zip(sobel_kernels(5), ([-1, -2, 0, 2, 1], [1, 4, 6, 4, 1]), strict=True):
        assert one.tolist() == other
    assert sobel_kernels(7)[0].tolist() == [-1, -4, -5, 0, 5, 4, 1]
    assert all((kernel != 0).sum() >= 60 for kernel in sobel_kernels(61))
    assert sobel_kernels(61)[1].sum() == 2**60
    for width in (1, 4, 63):
        with pytest.raises(ValueError, match="odd"):
            sobel_kernels(width)


def slow_part_by_hover(piece, maps, tau, sobel_px, smallest_seed_px):
    strength = slow_edge_strength(np.where(piece[..., None], np.clip(maps, -1, 1), 0), sobel_px)
    strength = strength.astype(np.float32)
    seeds, count = ndimage.label(ndimage.binary_fill_holes(piece & (strength < tau)) & piece)
    for number in range(1, count + 1):
        if np.count_nonzero(seeds == number) < smallest_seed_px:
            seeds[seeds == number] = 0
    if len(np.unique(seeds)) < 3:
        return piece.astype(np.int32)
    return label(watershed(np.maximum(strength, 0), seeds, mask=piece), connectivity=1)


@pytest.mark.parametrize("seed", range(4))
def test_hover_is_its_definition(seed):
    piece, maps = piece_of(seed), noise(seed + 9, (*piece_of(seed).shape, 2), 1.2)
    strength = edge_strength(np.where(piece[..., None], np.clip(maps, -1, 1), 0), 5)
    seeds, _ = ndimage.label(piece & (strength < 0.1))
    # Bounds that some seeds meet exactly.
    for smallest in (0, *np.unique(np.bincount(seeds.ravel())[1:])[:5]):
        parted = part_by_hover(piece, maps, tau=0.1, sobel_px=5, smallest_seed_px=smallest)
        assert_same_up_to_numbers(parted, slow_part_by_hover(piece, maps, 0.1, 5, smallest))


def test_seeds_below_the_smallest_are_dropped():
    piece = np.ones((20, 60), bool)
    maps = np.zeros((20, 60, 2), np.float32)
    # Two columns of a fall: seeds to the left, 20 x ~27, and to the right.
    maps[:, 26:30, 0], maps[:, 30:34, 0] = 1.0, -1.0
    parted = part_by_hover(piece, maps, tau=0.2, sobel_px=5, smallest_seed_px=10)
    assert parted[10, 5] != parted[10, 55]
    assert parted.max() == 2
    assert part_by_hover(piece, maps, tau=0.2, sobel_px=5, smallest_seed_px=1000).max() == 1
