"""Outlines in GeoJSON, as QuPath exports them and as `predict` writes them.

    FeatureCollection, a list of features, or one feature
      geometry          Polygon or MultiPolygon, with holes; px of the full resolution
      nucleusGeometry   of a cell: its nucleus, read in place of the cell
      properties
        objectType      annotation, detection or cell
        classification  {name} or {names}, or absent; names are joined by ': '

By QuPath's convention the classes 'Region*' and 'Ignore*' are no nuclei: regions mark what is annotated, everything
outside is not; what is ignored is not annotated either. No other class that ends in '*' is one of nuclei there: it is
refused.
"""

import pathlib
from collections import Counter

import numpy as np
import shapely

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.strict_json import parse_json
from nucseg_jax.data.labels.nuclei import Annotation
from nucseg_jax.data.labels.outline_repair import Outline
from nucseg_jax.data.labels.outlines import outline_annotation, ring_of
from nucseg_jax.data.labels.text_file import read_text

_REGION, _IGNORE = "Region*", "Ignore*"
_CELL = "cell"
_READ = ("annotation", "detection", _CELL)
# What QuPath 0.2 wrote as the id of every feature.
_OLD_IDS = {
    "PathAnnotationObject": "annotation",
    "PathDetectionObject": "detection",
    "PathCellObject": _CELL,
    "PathTileObject": "tile",
    "TMACoreObject": "tmaCore",
    "PathRootObject": "root",
}
_LONGEST_SHOWN, _LONGEST_NAME = 60, 100
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_geojson(path: pathlib.Path, image_height: int, image_width: int) -> Annotation:
    """Reads the outlines of a GeoJSON file.

    Raises:
      UserError: other JSON, geometries that are no areas, objects that are no nuclei, or outlines that
        `outlines.outline_annotation` refuses.
    """
    try:
        # QuPath writes NaN where it could not measure.
        content = parse_json(read_text(path).removeprefix(_BYTE_ORDER_MARK), allow_nan=True)
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"the JSON cannot be parsed: {error}", advice="export it again") from None
    notes: Counter[tuple[str, str]] = Counter()
    found: dict[str | None, list[Outline]] = {_REGION: [], _IGNORE: []}
    nuclei: list[Outline] = []
    for number, feature in enumerate(_features(content), start=1):
        outline = _outline(feature, f"feature {number}", notes)
        if outline is not None:
            found.get(outline.class_name, nuclei).append(outline)
    return outline_annotation(
        nuclei,
        image_height,
        image_width,
        regions=found[_REGION],
        ignored=found[_IGNORE],
        notes=[f"{counted(count, noun)} {rest}" for (noun, rest), count in notes.items()],
    )


def _features(content: object) -> list[object]:
    kind = content.get("type") if isinstance(content, dict) else None
    features = content
    if isinstance(content, dict) and kind == "FeatureCollection":
        features = content.get("features")
    elif kind == "Feature":
        features = [content]
    if not isinstance(features, list):
        raise UserError(
            f"the JSON is {_shown(kind) if kind else 'no GeoJSON'}",
            expected="a FeatureCollection, a list of features, or one feature",
            advice="export the objects of this image from QuPath as GeoJSON",
        )
    return features


def _outline(feature: object, place: str, notes: Counter[tuple[str, str]]) -> Outline | None:
    """The outline of a feature's nucleus, None for one without an area."""
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        kind = feature.get("type") if isinstance(feature, dict) else feature
        raise UserError(f"{place} is {_shown(kind)}", expected="a feature")
    properties = feature.get("properties")
    if properties is None:
        properties = {}
    if not isinstance(properties, dict):
        raise UserError(f"{place} has the properties {_shown(properties)}", expected="an object")
    kind = _object_type(feature, properties)
    if kind not in _READ:
        raise UserError(
            f"{place} is a {_shown(kind)}", expected=f"one of {', '.join(_READ)}", advice="export nuclei only"
        )
    geometry = feature.get("geometry")
    if kind == _CELL:
        nucleus = feature.get("nucleusGeometry", properties.get("nucleusGeometry"))
        if nucleus is None:
            notes["cell", "without a nucleus, read by its own outline"] += 1
        else:
            geometry = nucleus
    name = _class_name(properties.get("classification"), place)
    polygon = _polygons(geometry, place)
    if name and name.endswith("*") and name not in (_REGION, _IGNORE):
        raise UserError(
            f"{place} has the class {_shown(name)}, which in QuPath is none of nuclei, for its '*'",
            expected=f"classes of nuclei, {_REGION} for what is annotated, {_IGNORE} for what is not",
            advice="delete it, or classify it otherwise",
        )
    if polygon is None and name in (_REGION, _IGNORE):
        raise UserError(
            f"{place} ({name}) has less than three vertices", advice="draw the region again, or delete it"
        )
    if polygon is None:
        notes["outline", "with less than three vertices left out"] += 1
        return None
    return Outline(polygon, f"{place} ({name})" if name else place, name, is_detected=kind != _READ[0])


def _object_type(feature: dict[str, object], properties: dict[str, object]) -> object:
    for key in ("objectType", "object_type"):
        if key in properties:
            return properties[key]
    identity = feature.get("id")
    return _OLD_IDS.get(identity, _READ[0]) if isinstance(identity, str) else _READ[0]


def _class_name(classification: object, place: str) -> str | None:
    """The class as QuPath writes it, None where there is none."""
    if isinstance(classification, dict):
        names = classification.get("names", classification.get("name"))
        classification = names if names is None or isinstance(names, str) else _joined(names, place)
    if classification is None or classification == "":
        return None
    if not isinstance(classification, str) or len(classification) > _LONGEST_NAME:
        raise UserError(f"{place} has the classification {_shown(classification)}", expected="a name")
    return classification


def _joined(names: object, place: str) -> str:
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise UserError(f"{place} has a classification with the name {_shown(names)}", expected="text")
    return ": ".join(names)


def _polygons(geometry: object, place: str) -> shapely.Geometry | None:
    """A polygon or multipolygon, valid or not; None if no part has three vertices."""
    kind = geometry.get("type") if isinstance(geometry, dict) else geometry
    if not isinstance(geometry, dict) or kind not in ("Polygon", "MultiPolygon"):
        raise UserError(
            f"{place} has {_shown(kind) if kind is not None else 'no geometry'}",
            expected="a Polygon or a MultiPolygon",
            advice="points and lines enclose no nucleus: delete them, or draw outlines",
        )
    coordinates = geometry.get("coordinates")
    parts = []
    for rings in _listed([coordinates] if kind == "Polygon" else coordinates, place):
        read = [ring_of(_points(ring, place), place) for ring in _listed(rings, place)]
        if read and read[0] is not None:
            parts.append(shapely.Polygon(read[0], [hole for hole in read[1:] if hole is not None]))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _points(ring: object, place: str) -> np.ndarray:
    """float64 [n, 2]."""
    for point in _listed(ring, place):
        if not isinstance(point, list) or len(point) != 2 or {type(point[0]), type(point[1])} - {int, float}:
            raise UserError(f"{place} has the vertex {_shown(point)}", expected="two numbers, x and y")
    return np.array(ring, np.float64).reshape(-1, 2)


def _listed(value: object, place: str) -> list[object]:
    if not isinstance(value, list):
        raise UserError(f"{place} has the coordinates {_shown(value)}", expected="lists of lists of x and y")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
