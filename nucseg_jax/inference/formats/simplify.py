"""Outlines with fewer corners, valid, and never farther from the original than a given distance."""

import numpy as np
import shapely


def simplified(outlines: np.ndarray, tolerance_px: float) -> np.ndarray:
    """Leaves corners out (Douglas and Peucker, with the topology of each polygon kept).

    A polygon keeps its holes and stays valid; every point of its boundary is within `tolerance_px` of the other's
    boundary, both ways. One for which that fails is left as it is. Nuclei that share an edge are simplified each for
    itself, so that they may overlap, or part, by up to twice as much.

    Args:
      outlines: valid polygons [K].
      tolerance_px: above 0, or 0 to leave all as they are.

    Returns:
      Polygons [K], whose corners are some of the originals'.
    """
    if not tolerance_px or not len(outlines):
        return outlines
    fewer = shapely.simplify(outlines, tolerance_px, preserve_topology=True)
    distance = shapely.hausdorff_distance(shapely.boundary(outlines), shapely.boundary(fewer))
    is_good = (
        shapely.is_valid(fewer)
        & (shapely.get_type_id(fewer) == shapely.GeometryType.POLYGON)
        & (shapely.get_num_interior_rings(fewer) == shapely.get_num_interior_rings(outlines))
        & (distance <= tolerance_px)
    )
    return np.where(is_good, fewer, outlines)
