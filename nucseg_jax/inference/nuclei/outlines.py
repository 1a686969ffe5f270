"""Nuclei as polygons along the edges of their pixels.

Notation: [H, W] labels, 0 = nothing. Every edge between a pixel and one of another label is a step that has the pixel
on its right: directions 0 to the right, 1 down, 2 to the left, 3 up. Each step has one step that follows it, so that
steps form closed rings: clockwise around a region, the other way around its holes.
"""

import itertools

import numpy as np
import shapely

# Rows, columns from a step's start to its end.
_STEPS: np.ndarray = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
_LEFT, _STRAIGHT, _RIGHT = -1, 0, 1


def outlines(nuclei: np.ndarray, *, first: int, count: int, top: int) -> list[shapely.Polygon]:
    """The outline of each nucleus, with its holes; valid, and of exactly as many square pixels as it has.

    Args:
      nuclei: uint32 [h, W]: 0, or numbers from `first` to `first` + `count` - 1, each 4-connected.
      first, count: see `nuclei`.
      top: row of the image at which the window begins.

    Returns:
      `count` polygons; x to the right and y down from the image's upper left corner, whole px.
    """
    if not count:
        return []
    label, row, column, direction = _steps(nuclei)
    follows = _followers(label, row, column, direction, nuclei.shape[1])
    # Only where the direction changes is there a corner: the start of the step that follows.
    is_corner = direction[follows] != direction
    rings = _rings(follows)
    order = np.array(list(itertools.chain.from_iterable(rings)))
    ring_of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])[is_corner[order]]
    corner = follows[order[is_corner[order]]]
    x, y = column[corner].astype(np.float64), (row[corner] + top).astype(np.float64)
    starts = np.flatnonzero(np.diff(ring_of, prepend=-1))
    after: np.ndarray = np.append(np.arange(1, len(x)), 0)
    after[np.append(starts[1:], len(x)) - 1] = starts
    is_region = np.add.reduceat(x * y[after] - x[after] * y, starts) > 0
    lines = shapely.linearrings(np.stack([x, y], axis=1), indices=ring_of)
    region: np.ndarray = label[[ring[0] for ring in rings]].astype(np.int64) - first
    found: np.ndarray = np.empty(count, object)
    found[region[is_region]] = shapely.polygons(lines[is_region])
    for number in np.unique(region[~is_region]):
        holes = lines[~is_region & (region == number)]
        found[number] = shapely.Polygon(found[number].exterior, list(holes))
    return found.tolist()


def _steps(nuclei: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Label, row and column of the start, and direction of every step, in the order of (row, column, direction)."""
    padded = np.pad(nuclei, 1)
    inside = padded[1:-1, 1:-1]
    parts: list[tuple[np.ndarray, ...]] = []
    # What lies beyond the edge that is walked along, and where the walk begins, from the pixel's upper left corner.
    for direction, (beyond, start_row, start_column) in enumerate(
        (
            (padded[:-2, 1:-1], 0, 0),
            (padded[1:-1, 2:], 0, 1),
            (padded[2:, 1:-1], 1, 1),
            (padded[1:-1, :-2], 1, 0),
        )
    ):
        row, column = np.nonzero((inside != beyond) & (inside > 0))
        parts.append(
            (inside[row, column], row + start_row, column + start_column, np.full(len(row), direction))
        )
    label, rows, columns, directions = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(_code(rows, columns, directions, nuclei.shape[1]))
    return label[order], rows[order], columns[order], directions[order]


def _followers(
    label: np.ndarray, row: np.ndarray, column: np.ndarray, direction: np.ndarray, width: int
) -> np.ndarray:
    """The number of the step that follows each.

    Where two pixels of a region meet at a corner only, the walk turns left, to the other pixel. The region is connected
    elsewhere, so what it encloses there becomes a hole that touches the outline, which is valid; turning right, the
    outline would touch itself, which is not.
    """
    codes = _code(row, column, direction, width)
    step = _STEPS[direction]
    end_row, end_column = row + step[:, 0], column + step[:, 1]
    follows = np.full(len(codes), -1)
    for turn in (_LEFT, _STRAIGHT, _RIGHT):
        next_code = _code(end_row, end_column, (direction + turn) % 4, width)
        where = np.minimum(np.searchsorted(codes, next_code), len(codes) - 1)
        fits = (follows < 0) & (codes[where] == next_code) & (label[where] == label)
        follows[fits] = where[fits]
    return follows


def _code(row: np.ndarray, column: np.ndarray, direction: np.ndarray, width: int) -> np.ndarray:
    return (row.astype(np.int64) * (width + 1) + column) * 4 + direction


def _rings(follows: np.ndarray) -> list[list[int]]:
    """The cycles of a permutation."""
    following = follows.tolist()
    is_taken = bytearray(len(following))
    rings = []
    for start in range(len(following)):
        if is_taken[start]:
            continue
        ring, step = [], start
        while not is_taken[step]:
            is_taken[step] = 1
            ring.append(step)
            step = following[step]
        rings.append(ring)
    return rings
