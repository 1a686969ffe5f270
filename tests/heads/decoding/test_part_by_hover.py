"""The decoder of HoVer maps against its definition."""

import numpy as np
import pytest
from scipy import ndimage

from nucseg_jax.heads.decoding.part_at_passes import part_at_passes
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


@pytest.mark.parametrize("seed", range(3))
def test_hover_parts_at_the_passes_of_its_smoothed_edge_strength(seed):
    piece, maps = piece_of(seed), noise(seed + 9, (*piece_of(seed).shape, 2), 1.2)
    strength = slow_edge_strength(np.where(piece[..., None], np.clip(maps, -1, 1), 0), 5)
    height = ndimage.gaussian_filter(np.where(piece, -strength, 0), 1.5, mode="constant")
    parted = part_by_hover(piece, maps, depth=0.1, sobel_px=5, smooth_px=1.5)
    assert_same_up_to_numbers(parted, part_at_passes(piece, height, 0.1))


def test_two_nuclei_are_parted_where_the_map_falls_between_them():
    piece = np.ones((20, 60), bool)
    maps = np.zeros((20, 60, 2), np.float32)
    maps[:, :30, 0], maps[:, 30:, 0] = np.linspace(-1, 1, 30), np.linspace(-1, 1, 30)
    maps[..., 1] = np.linspace(-1, 1, 20)[:, None]
    parted = part_by_hover(piece, maps, depth=0.2, sobel_px=5, smooth_px=1.0)
    assert parted.max() == 2
    assert parted[10, 5] != parted[10, 55]
    # The step has 2 at most: no pass is deeper than 3.
    assert part_by_hover(piece, maps, depth=3.0, sobel_px=5, smooth_px=1.0).max() == 1
