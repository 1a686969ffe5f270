"""Nuclei as GeoJSON that QuPath reads as detections."""

import json
import uuid
from collections.abc import Iterator, Mapping

import shapely

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.inference.nuclei.any_class import ANY_CLASS, ANY_COLOR
from nucseg_jax.inference.nuclei.measure import Table

Color = tuple[int, int, int]
# Of the features' ids, which are a function of image and number.
_NAMESPACE = uuid.UUID("6f1c2a0e-6c0c-4f5c-9a55-6e7563736567")
_NO_MEASUREMENTS = ("nucleus", "class", "x_px", "y_px")
_DECIMALS = 4


def class_colors(info: DatasetInfo) -> dict[str, Color]:
    """Colours by the names in the column `class` of a table: `ANY_CLASS`, then each class of the data set."""
    return {ANY_CLASS: ANY_COLOR, **{each.name: each.color for each in info.classes}}


def features(
    stem: str, polygons: list[shapely.Polygon], table: Table, colors: Mapping[str, Color]
) -> Iterator[str]:
    """Yields each nucleus as a GeoJSON feature in one line, a QuPath detection.

    Args:
      stem: of the image; with the nucleus's number it makes the feature's id.
      polygons: from `outlines`.
      table: from `measure_nuclei`, in the same order.
      colors: of its classes, see `class_colors`.
    """
    if not polygons:
        return
    measurements = [name for name in table if name not in _NO_MEASUREMENTS]
    measured = zip(*(table[column].round(_DECIMALS).tolist() for column in measurements), strict=True)
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
            "classification": {"name": name, "color": colors[name]},
            "measurements": dict(zip(measurements, values, strict=True)),
        }
        identity = uuid.uuid5(_NAMESPACE, f"{stem}/{number}")
        yield (
            f'{{"type":"Feature","id":"{identity}","geometry":{geometry},'
            f'"properties":{json.dumps(properties, separators=(",", ":"), allow_nan=False)}}}'
        )
