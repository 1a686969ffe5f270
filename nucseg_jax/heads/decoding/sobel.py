"""Sobel kernels of any odd width, as OpenCV makes them (`getDerivKernels`)."""

import numpy as np

# Wider kernels have weights beyond int64.
WIDEST_PX = 61


def sobel_kernels(width_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the derivative along one axis and the smoothing along the other, int64 [width_px] each.

    The smoothing is a row of Pascal's triangle, the derivative the difference of two of the row above it. Both are
    for correlation: the derivative of what rises is positive.

    Args:
      width_px: odd, 3 to 61.

    Raises:
      ValueError: for another width.

    >>> sobel_kernels(3)
    (array([-1,  0,  1]), array([1, 2, 1]))
    """
    if width_px % 2 == 0 or not 3 <= width_px <= WIDEST_PX:
        raise ValueError(f"a Sobel kernel is {width_px} px wide, expected an odd number, 3 to {WIDEST_PX}")
    rows = [np.array([1], np.int64)]
    for _ in range(width_px - 1):
        rows.append(np.convolve(rows[-1], [1, 1]))
    return np.convolve(rows[-2], [-1, 1]), rows[-1]
