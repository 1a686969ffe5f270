"""Pairs of polygons whose interiors meet."""

import numpy as np
import shapely

from nucseg_jax.core.errors import UserError

_CHUNK = 500
# Outlines whose bounding boxes meet, for each outline, in the densest annotation that is one.
_MOST_NEIGHBOURS = 100
# Of DE-9IM: the interiors meet.
_INTERIORS_MEET = "T********"


def interior_pairs(geometries: np.ndarray) -> np.ndarray:
    """Finds all pairs that share an area; polygons that touch share none.

    Args:
      geometries: object [K], valid polygons or multipolygons.

    Returns:
      int64 [P, 2]: the earlier and the later of each pair.

    Raises:
      UserError: so many lie on top of each other that they are no nuclei.
    """
    tree, found, neighbours = shapely.STRtree(geometries), [], 0
    for start in range(0, len(geometries), _CHUNK):
        earlier, later = tree.query(geometries[start : start + _CHUNK])
        neighbours += len(earlier)
        if neighbours > _MOST_NEIGHBOURS * max(len(geometries), _CHUNK):
            raise UserError(
                "the outlines lie on top of each other, over a hundred on one",
                expected="an outline for each nucleus",
            )
        earlier += start
        is_once = earlier < later
        earlier, later = earlier[is_once], later[is_once]
        meets = shapely.relate_pattern(geometries[earlier], geometries[later], _INTERIORS_MEET)
        found.append(np.stack([earlier[meets], later[meets]], axis=1))
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)
