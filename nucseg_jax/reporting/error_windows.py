"""Where a prediction goes wrong most: the white boxes of figure 11 of the paper, which does not say how it chose them.

Here: square windows, the one with most wrong pixels first, then the worst of those that do not touch an earlier one.
"""

from typing import NamedTuple

import numpy as np

WINDOW_PX = 48
MOST_WINDOWS = 2
# A window with less error than this share of its pixels is not worth a box.
LEAST_SHARE = 0.10


class Window(NamedTuple):
    """A square part of a picture: pixels top..top+side-1, left..left+side-1, and how many of them are wrong."""

    top: int
    left: int
    side: int
    wrong: int


def worst_windows(
    wrong: np.ndarray,
    *,
    side: int = WINDOW_PX,
    most: int = MOST_WINDOWS,
    least_share: float = LEAST_SHARE,
) -> list[Window]:
    """Disjoint windows of most error.

    Args:
      wrong: bool [H, W].
      side: of a window; where the picture is smaller, the picture's shorter side.
      most: how many at most.
      least_share: windows with a smaller share of wrong pixels are left out.

    Returns:
      At most `most` windows, the worst first; among equals the uppermost, then the leftmost.
    """
    side = min(side, *wrong.shape)
    # Sums over all windows from sums over all rectangles that begin at the corner.
    corner = np.pad(wrong.astype(np.int64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    sums = corner[side:, side:] - corner[:-side, side:] - corner[side:, :-side] + corner[:-side, :-side]
    found: list[Window] = []
    while len(found) < most:
        top, left = (int(place) for place in np.unravel_index(np.argmax(sums), sums.shape))
        number = int(sums[top, left])
        if number <= 0 or number < least_share * side**2:
            break
        found.append(Window(top, left, side, number))
        # Windows that begin here would overlap it.
        sums[max(0, top - side + 1) : top + side, max(0, left - side + 1) : left + side] = -1
    return found


def boxed(picture: np.ndarray, windows: list[Window]) -> np.ndarray:
    """The picture with a white frame around each window, dark inside so that it shows on white tissue too.

    Args:
      picture: uint8 [H, W, 3].
      windows: of it.

    Returns:
      uint8 [H, W, 3].
    """
    framed = picture.copy()
    for window in windows:
        for inset, shade in ((2, 40), (0, 255), (1, 255)):
            rows = slice(window.top + inset, window.top + window.side - inset)
            columns = slice(window.left + inset, window.left + window.side - inset)
            part = framed[rows, columns]
            part[[0, -1]] = shade
            part[:, [0, -1]] = shade
    return framed
