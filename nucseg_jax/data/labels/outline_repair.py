"""Outlines as they lie in a file, and the repair of those that cross themselves."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import shapely

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError

# Pairs of edges whose bounding boxes meet: two for each vertex of a plain outline. The time that a repair takes grows
# with their number.
_MOST_PAIRS_PER_VERTEX, _PAIRS_OF_SMALL = 20, 10_000
_VERTICES_OF_SMALL = 100


@dataclasses.dataclass(frozen=True, eq=False)
class Outline:
    """An outline of a file.

    Attributes:
      geometry: polygon or multipolygon, valid or not.
      place: names it in the file, such as 'region 12'.
      class_name: of its nucleus, None = not stated.
      is_detected: a program found it, as QuPath's detections and cells.
    """

    geometry: shapely.Geometry
    place: str
    class_name: str | None = None
    is_detected: bool = False


def valid_outlines(outlines: Sequence[Outline], notes: list[str]) -> list[Outline]:
    """Returns the outlines with an area, those that cross themselves repaired so that all they enclose is kept.

    Args:
      outlines: of a file.
      notes: get the counts of those that were repaired or left out.

    Raises:
      UserError: one crosses itself everywhere.
    """
    found, repaired, empty = [], 0, 0
    is_valid = shapely.is_valid([each.geometry for each in outlines])
    for outline, is_whole in zip(outlines, is_valid, strict=True):
        geometry = outline.geometry
        if not is_whole:
            if _crosses_everywhere(geometry):
                raise UserError(
                    f"{outline.place} crosses itself in many places: {shapely.is_valid_reason(geometry)}",
                    expected="an outline around a nucleus",
                    advice="draw it again",
                )
            geometry = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
        if geometry.area <= 0:
            empty += 1
            continue
        repaired += not is_whole
        found.append(dataclasses.replace(outline, geometry=geometry))
    if repaired:
        notes.append(f"{counted(repaired, 'outline')} repaired that crossed or touched themselves")
    if empty:
        notes.append(f"{counted(empty, 'outline')} without an area left out")
    return found


def _crosses_everywhere(geometry: shapely.Geometry) -> bool:
    points, ring = shapely.get_coordinates(shapely.get_rings(geometry), return_index=True)
    if len(points) <= _VERTICES_OF_SMALL:
        return False
    is_edge = ring[1:] == ring[:-1]
    starts, ends = points[:-1][is_edge], points[1:][is_edge]
    boxes = shapely.box(
        *np.minimum(starts, ends).T,
        *np.maximum(starts, ends).T,
    )
    tree, most = shapely.STRtree(boxes), _MOST_PAIRS_PER_VERTEX * len(points) + _PAIRS_OF_SMALL
    pairs = 0
    for start in range(0, len(boxes), _VERTICES_OF_SMALL):
        pairs += tree.query(boxes[start : start + _VERTICES_OF_SMALL]).shape[1]
        if pairs > most:
            return True
    return False
