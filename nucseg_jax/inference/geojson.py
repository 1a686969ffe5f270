"""Nuclei as GeoJSON that QuPath reads as detections."""

import json
import uuid
from collections.abc import Iterator

import shapely

from nucseg_jax.data.sources.pannuke.vocabulary import NUCLEUS_CLASSES
from nucseg_jax.inference.measure import ANY_CLASS, COLUMNS, Table

# QuPath's own colours for tumour, immune cells, stroma and necrosis; the others can be told apart from them.
CLASS_COLORS = dict(
    zip(
        (ANY_CLASS, *NUCLEUS_CLASSES),
        ((255, 225, 0), (200, 0, 0), (160, 90, 160), (150, 200, 150), (50, 50, 50), (30, 160, 230)),
        strict=True,
    )
)
# Of the features' ids, which are a function of image and number.
_NAMESPACE = uuid.UUID("6f1c2a0e-6c0c-4f5c-9a55-6e7563736567")
_MEASUREMENTS = tuple(name for name in COLUMNS if name not in ("nucleus", "class", "x_px", "y_px"))
_DECIMALS = 4


def features(stem: str, polygons: list[shapely.Polygon], table: Table) -> Iterator[str]:
    """Each nucleus as a GeoJSON feature in one line, a QuPath detection.

    Args:
      stem: of the image; with the nucleus's number it makes the feature's id.
      polygons: from `outlines`.
      table: from `measure_nuclei`, in the same order.
    """
    if not polygons:
        return
    measured = zip(*(table[column].round(_DECIMALS).tolist() for column in _MEASUREMENTS), strict=True)
    rows = zip(
        shapely.to_geojson(polygons),
        table["nucleus"].tolist(),
        table["class"].tolist(),
        measured,
        strict=True,
    )
    for geometry, number, name, values in rows:
        properties = {
            "objectType": "detection",
            "classification": {"name": name, "color": CLASS_COLORS[name]},
            "measurements": dict(zip(_MEASUREMENTS, values, strict=True)),
        }
        identity = uuid.uuid5(_NAMESPACE, f"{stem}/{number}")
        yield (
            f'{{"type":"Feature","id":"{identity}","geometry":{geometry},'
            f'"properties":{json.dumps(properties, separators=(",", ":"), allow_nan=False)}}}'
        )
