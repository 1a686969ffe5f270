"""Nuclei that are given as labels, in windows that hold each of them whole.

An annotation is drawn band by band; a nucleus belongs to the band in which its last row is, and the window of that band
reaches up to the first row of all that end in it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import shapely
from skimage.measure import label as connected_pieces

from nucseg_jax.data.labels.annotation import Annotation
from nucseg_jax.inference.nuclei.outlines import outlines

BAND_PX = 1024


class LabelledWindow(NamedTuple):
    """Nuclei that lie whole in a window.

    Attributes:
      top: first row of the window.
      nuclei: uint32 [h, W]: 0, or 1..K.
      numbers: int64 [K], rising: their numbers in the annotation.
    """

    top: int
    nuclei: np.ndarray
    numbers: np.ndarray


def draw_rows(annotation: Annotation, top: int, height: int, width: int) -> np.ndarray:
    """Draws rows of an annotation at its own scale: int32 [height, width], 0 or the number of a nucleus."""
    return annotation.draw(top, 0, height, width, scale_y=1.0, scale_x=1.0, class_number={}).instance


def windows(annotation: Annotation, height: int, width: int) -> Iterator[LabelledWindow]:
    """Yields every nucleus that has a pixel once, by the row in which it ends.

    Args:
      annotation: the nuclei.
      height, width: of the image.
    """
    first, last = _rows(annotation, height, width)
    for band in range(0, height, BAND_PX):
        end = min(band + BAND_PX, height)
        numbers = np.flatnonzero((last >= band) & (last < end))
        if not len(numbers):
            continue
        top = int(first[numbers].min())
        local: np.ndarray = np.zeros(len(last), np.uint32)
        local[numbers] = np.arange(1, len(numbers) + 1)
        yield LabelledWindow(top, local[draw_rows(annotation, top, end - top, width)], numbers)


def _rows(annotation: Annotation, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first and the last row of each number, int64 [K + 1]; -1 and -1 where it has no pixel."""
    first = np.full(annotation.nucleus_count + 1, -1)
    last = first.copy()
    for band in range(0, height, BAND_PX):
        drawn = draw_rows(annotation, band, min(BAND_PX, height - band), width)
        rows, columns = np.nonzero(drawn)
        numbers = drawn[rows, columns]
        found, place = np.unique(numbers, return_index=True)
        first[found] = np.where(first[found] < 0, band + rows[place], first[found])
        _, place = np.unique(numbers[::-1], return_index=True)
        last[found] = band + rows[::-1][place]
    return first, last


def outlines_of(window: LabelledWindow) -> list[shapely.Geometry]:
    """Returns the outline of each nucleus: a polygon, or several for one whose pixels are not 4-connected."""
    count = len(window.numbers)
    pieces, piece_count = connected_pieces(
        window.nuclei.astype(np.int64), background=0, connectivity=1, return_num=True
    )
    found = outlines(pieces.astype(np.uint32), first=1, count=piece_count, top=window.top)
    number: np.ndarray = np.zeros(piece_count + 1, np.int64)
    number[pieces.ravel()] = window.nuclei.ravel()
    of_number: list[list[shapely.Polygon]] = [[] for _ in range(count)]
    for polygon, each in zip(found, number[1:].tolist(), strict=True):
        of_number[each - 1].append(polygon)
    return [parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts) for parts in of_number]
