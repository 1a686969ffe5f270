"""HoVer-Net's post-processing as published (Graham et al., 2019, arXiv 1812.06499; `post_proc.py` of its code).

For parity with papers, on one whole patch: maps and slopes are scaled by the extremes of the patch, so that its nuclei
depend on all that is in it. `part_by_hover` is what `predict` should use.
"""

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from nucseg_jax.heads.decoding.sobel import sobel_kernels

_SOBEL_PX = 21
_EDGE = 0.4
_SMALLEST_PX = 10
# OpenCV's ellipse of 5 x 5.
_ELLIPSE: np.ndarray = np.array(
    [[0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]], bool
)
# OpenCV's Gaussian of 3 x 3.
_GAUSSIAN = (0.25, 0.5, 0.25)


def official_hover(probability: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Finds the nuclei of a patch as HoVer-Net's published code does.

    Foreground is probability >= .5 in 4-connected components of 10 px or more. Maps are scaled to 0..1, their Sobel
    slopes (21 px, the border reflected without its last pixel) again, and the edge strength is 1 less that, the larger
    of both, 0 outside. Seeds are foreground with a strength below .4, holes filled, opened by an ellipse of 5 px,
    10 px or more; the watershed floods the blurred strength from them. Foreground without a seed is dropped.

    Args:
      probability: float [H, W], of any nucleus, 0..1.
      maps: float [H, W, 2], horizontal and vertical, at any scale.

    Returns:
      int32 [H, W]: 0 background, else the number of a nucleus; numbers may have gaps.
    """
    nucleus = _without_small(ndimage.label(probability >= 0.5)[0]) > 0
    falls = [1 - _to_unit(_slope(_to_unit(maps[..., index]), axis=1 - index)) for index in range(2)]
    edge = np.maximum(np.maximum(*falls) - ~nucleus, 0)
    landscape: np.ndarray = (1.0 - edge) * nucleus
    for axis in range(2):
        landscape = ndimage.correlate1d(landscape, _GAUSSIAN, axis=axis, mode="mirror")
    seeds = ndimage.binary_fill_holes(nucleus & (edge < _EDGE))
    seeds = ndimage.binary_erosion(seeds, _ELLIPSE, border_value=1)
    seeds = ndimage.binary_dilation(seeds, _ELLIPSE)
    numbers = _without_small(ndimage.label(seeds)[0])
    return np.asarray(watershed(-landscape, numbers, mask=nucleus), np.int32)


def _to_unit(values: np.ndarray) -> np.ndarray:
    """Scales to 0..1 by the extremes, float32; 0 where all values are equal."""
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    return np.asarray((values - low) / (high - low if high > low else 1.0), np.float32)


def _slope(values: np.ndarray, *, axis: int) -> np.ndarray:
    """Sobel derivative along an axis, float64."""
    derivative, smoothing = sobel_kernels(_SOBEL_PX)
    slope = ndimage.correlate1d(values, derivative, axis=axis, output=np.float64, mode="mirror")
    return np.asarray(ndimage.correlate1d(slope, smoothing, axis=1 - axis, mode="mirror"))


def _without_small(labels: np.ndarray) -> np.ndarray:
    """Labels with those of fewer than 10 px set to 0; numbers stay."""
    is_small = np.bincount(labels.ravel()) < _SMALLEST_PX
    return np.where(is_small[labels], 0, labels)
