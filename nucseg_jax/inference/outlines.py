"""Nuclei as polygons along the edges of their pixels, and as GeoJSON that QuPath reads as detections."""

import json
import uuid
from collections.abc import Iterator

import numpy as np
import shapely
from scipy import ndimage

from nucseg_jax.core.vocabulary import NUCLEUS_CLASSES
from nucseg_jax.inference.measure import ANY_CLASS, COLUMNS, Table

# QuPath's own where it has one: Tumor, Immune cells, Stroma, Necrosis; the rest told apart from them.
CLASS_COLORS = dict(
    zip(
        (ANY_CLASS, *NUCLEUS_CLASSES),
        ((255, 225, 0), (200, 0, 0), (160, 90, 160), (150, 200, 150), (50, 50, 50), (30, 160, 230)),
        strict=True,
    )
)
_NAMESPACE = uuid.UUID("6f1c2a0e-6c0c-4f5c-9a55-6e7563736567")
_MEASUREMENTS = tuple(name for name in COLUMNS if name not in ("nucleus", "class", "x_px", "y_px"))


def outlines(nuclei: np.ndarray, *, first: int, count: int, top: int) -> list[shapely.Polygon]:
    """The outline of each nucleus, with its holes; valid, and of exactly as many square pixels as it has.

    Args:
      nuclei: uint32 [h, W]: 0, or numbers from `first` to `first` + `count` - 1, each 4-connected.
      first, count: see `nuclei`.
      top: row of the image at which the window begins.

    Returns:
      `count` polygons; x to the right and y down from the image's upper left corner, whole px.
    """
    shifted = np.where(nuclei > 0, nuclei.astype(np.int64) - (first - 1), 0)
    found = []
    for number, where in enumerate(ndimage.find_objects(shifted, max_label=count), start=1):
        assert where is not None, "every number is there"
        found.append(_outline(shifted[where] == number, where[0].start + top, where[1].start))
    return found


def _outline(piece: np.ndarray, top: int, left: int) -> shapely.Polygon:
    """Runs of pixels in a row are rectangles; shapely joins them."""
    change = np.diff(piece.astype(np.int8), axis=1, prepend=0, append=0)
    rows, begins = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    joined = shapely.union_all(shapely.box(begins + left, rows + top, ends + left, rows + top + 1))
    # Without tolerance: only vertices on a straight line go.
    return shapely.normalize(shapely.simplify(joined, 0.0))


def features(stem: str, polygons: list[shapely.Polygon], table: Table) -> Iterator[str]:
    """Each nucleus as a GeoJSON feature in one line, a QuPath detection.

    Args:
      stem: of the image; with the nucleus's number it makes the feature's id.
      polygons: from `outlines`.
      table: from `measure_nuclei`, in the same order.
    """
    for row, geometry in enumerate(shapely.to_geojson(polygons) if polygons else ()):
        name = str(table["class"][row])
        properties = {
            "objectType": "detection",
            "classification": {"name": name, "color": list(CLASS_COLORS[name])},
            "measurements": {column: round(float(table[column][row]), 4) for column in _MEASUREMENTS},
        }
        identity = uuid.uuid5(_NAMESPACE, f"{stem}/{table['nucleus'][row]}")
        yield (
            f'{{"type":"Feature","id":"{identity}","geometry":{geometry},'
            f'"properties":{json.dumps(properties, separators=(",", ":"), allow_nan=False)}}}'
        )
