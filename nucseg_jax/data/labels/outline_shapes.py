"""Outlined nuclei, looked up by the polygons that hold each point."""

import dataclasses
import functools

import numpy as np
import shapely

# Points are moved by less than any outline is drawn with, so that one on an edge that two nuclei share lies in exactly
# one of them: the one on its right or below, as for the pixels of a raster. Two unequal steps, for diagonal edges.
_Y_STEP_PX, _X_STEP_PX = 2.0**-20, 0.618 * 2.0**-20


@dataclasses.dataclass(frozen=True, eq=False)
class OutlineShapes:
    """Nuclei as polygons; see `nuclei.Shapes`.

    Attributes:
      nuclei: valid polygons or multipolygons, in the order of numbers.
      regions: what is annotated; () = everything.
      ignored: what is not, inside of regions too.
      height, width: of the image, px; there is nothing outside.
    """

    nuclei: tuple[shapely.Geometry, ...]
    regions: tuple[shapely.Geometry, ...]
    ignored: tuple[shapely.Geometry, ...]
    height: int
    width: int

    @functools.cached_property
    def _tree(self) -> shapely.STRtree:
        shapely.prepare(self.nuclei)
        return shapely.STRtree(self.nuclei)

    def numbers_at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Returns int32 [h, w]: the number of the last nucleus that holds each crossing."""
        number: np.ndarray = np.zeros((len(y), len(x)), np.int32)
        if not len(y) or not len(x):
            return number
        window = shapely.box(x[0] - 1, y[0] - 1, x[-1] + 1, y[-1] + 1)
        for index in np.sort(self._tree.query(window)):
            _fill(number, self.nuclei[index], y, x, index + 1)
        outside_y, outside_x = (y < 0) | (y >= self.height), (x < 0) | (x >= self.width)
        number[outside_y] = 0
        number[:, outside_x] = 0
        return number

    def is_void_at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray | None:
        """Returns bool [h, w]: True outside of all regions, and in what is ignored."""
        if not self.regions and not self.ignored:
            return None
        is_void: np.ndarray = np.full((len(y), len(x)), bool(self.regions))
        for region in self.regions:
            _fill(is_void, region, y, x, False)
        for ignored in self.ignored:
            _fill(is_void, ignored, y, x, True)
        return is_void


def _fill(raster: np.ndarray, geometry: shapely.Geometry, y: np.ndarray, x: np.ndarray, value: int) -> None:
    """Writes a value to every crossing of y and x, both rising, that a geometry holds."""
    left, top, right, bottom = geometry.bounds
    y, x = y + _Y_STEP_PX, x + _X_STEP_PX
    rows = slice(np.searchsorted(y, top), np.searchsorted(y, bottom))
    columns = slice(np.searchsorted(x, left), np.searchsorted(x, right))
    if rows.start < rows.stop and columns.start < columns.stop:
        inside = shapely.contains_xy(geometry, x[None, columns], y[rows, None])
        raster[rows, columns][inside] = value
