"""HoVer-Net's published post-processing against a literal, slow one, and on perfect maps."""

from collections import deque

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed

from nucseg_jax.heads.decoding.official import official_hover
from tests.heads.decoding.binary_pq import binary_pq
from tests.heads.decoding.perfect_maps import hover, touching_discs


def reflected(index: int, size: int) -> int:
    """OpenCV's BORDER_REFLECT_101: gfedcb|abcdefgh|gfedcba."""
    while not 0 <= index < size:
        index = -index if index < 0 else 2 * (size - 1) - index
    return index


def correlated(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlation with a square kernel, pixels beyond the border reflected."""
    half = len(kernel) // 2
    height, width = values.shape
    rows = [reflected(index, height) for index in range(-half, height + half)]
    columns = [reflected(index, width) for index in range(-half, width + half)]
    padded = values[np.ix_(rows, columns)].astype(np.float64)
    total = np.zeros(values.shape)
    for row, weights in enumerate(kernel):
        for column, weight in enumerate(weights):
            total += weight * padded[row : row + height, column : column + width]
    return total


def scaled(values: np.ndarray) -> np.ndarray:
    return ((values - values.min()) / (values.max() - values.min())).astype(np.float32)


def components(mask: np.ndarray) -> np.ndarray:
    """4-connected components of 10 px or more, in the order of their first pixels."""
    labels = np.zeros(mask.shape, np.int32)
    seen = np.zeros(mask.shape, bool)
    count = 0
    for start in map(tuple, np.argwhere(mask)):
        if seen[start]:
            continue
        seen[start], found, waiting = True, [start], deque([start])
        while waiting:
            row, column = waiting.popleft()
            for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                inside = 0 <= near[0] < mask.shape[0] and 0 <= near[1] < mask.shape[1]
                if inside and mask[near] and not seen[near]:
                    seen[near] = True
                    found.append(near)
                    waiting.append(near)
        if len(found) >= 10:
            count += 1
            labels[tuple(np.transpose(found))] = count
    return labels


def opened(mask: np.ndarray) -> np.ndarray:
    """Opening by the ellipse of 5 x 5: every placement of it whose pixels in the image are all set."""
    ellipse = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if abs(y) < 2 or x == 0]
    height, width = mask.shape
    result = np.zeros_like(mask)
    # Centres lie in the image.
    for row in range(height):
        for column in range(width):
            cells = [
                (row + y, column + x) for y, x in ellipse if 0 <= row + y < height and 0 <= column + x < width
            ]
            if all(mask[cell] for cell in cells):
                for cell in cells:
                    result[cell] = True
    return result


def slow_official(probability: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """The steps of the paper's code, one after the other."""
    blob = (components(probability >= 0.5) > 0).astype(np.int32)
    # The kernel of 21 x 21: differences of neighbours, smoothed by 2 x 2 boxes nineteen times.
    smoothing = np.poly1d([1.0, 1.0]) ** 20
    derivative = np.poly1d([1.0, 1.0]) ** 19 * np.poly1d([1.0, -1.0])
    # Coefficients begin with the highest power: that is the far end, where the derivative is positive.
    across = np.outer(smoothing.coeffs, derivative.coeffs[::-1])
    slope_h = correlated(scaled(maps[..., 0]), across)
    slope_v = correlated(scaled(maps[..., 1]), across.T)
    overall = np.maximum(1 - scaled(slope_h), 1 - scaled(slope_v))
    overall = np.clip(overall - (1 - blob), 0, None)
    box = np.outer([1, 2, 1], [1, 2, 1]) / 16
    landscape = -correlated((1.0 - overall) * blob, box)
    marker = np.clip(blob - (overall >= 0.4), 0, None) > 0
    outside = components_of_background(marker)
    seeds = components(opened(~outside))
    return watershed(landscape, seeds, mask=blob > 0)


def components_of_background(mask: np.ndarray) -> np.ndarray:
    """Background that is 4-connected to the border: all but it is filled."""
    padded = np.pad(~mask, 1, constant_values=True)
    reached = np.zeros_like(padded)
    reached[0, 0] = True
    while True:
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= padded
        if (grown == reached).all():
            return reached[1:-1, 1:-1]
        reached = grown


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sigma", [0.0, 1.5])
def test_it_is_the_published_one(seed, sigma):
    truth = touching_discs(seed, size=64, count=12)
    probability = ndimage.gaussian_filter((truth > 0).astype(np.float32), sigma)
    maps = ndimage.gaussian_filter(hover(truth), (sigma, sigma, 0))
    maps += np.random.default_rng(seed).normal(0, 0.02, maps.shape).astype(np.float32)
    found = official_hover(probability, maps)
    assert len(np.unique(found)) > 4
    np.testing.assert_array_equal(found, slow_official(probability, maps))


@pytest.mark.parametrize("seed", [0, 1, 2, 58, 216])
def test_it_is_the_published_one_on_noise(seed):
    """Shapes of all kinds; the last two have thin seeds at the border of the patch, which the opening keeps."""
    rng = np.random.default_rng(seed)
    probability = scaled(ndimage.gaussian_filter(rng.standard_normal((48, 48)), 2.0))
    maps = ndimage.gaussian_filter(rng.standard_normal((48, 48, 2)), (1.5, 1.5, 0)).astype(np.float32)
    found = official_hover(probability, maps)
    np.testing.assert_array_equal(found, slow_official(probability, maps))


def test_most_touching_discs_are_told_apart():
    scores = [
        binary_pq(truth, official_hover(truth > 0, hover(truth))) for truth in map(touching_discs, range(4))
    ]
    assert np.mean(scores) > 0.9


def test_a_patch_without_nuclei_has_none():
    assert not official_hover(np.zeros((64, 64)), np.zeros((64, 64, 2))).any()
