"""Outlines in Aperio ImageScope's XML, as MoNuSeg publishes them.

    Annotations MicronsPerPixel
      Annotation Name                                 a layer
        Attributes > Attribute Name Value
        Regions > Region Id Type NegativeROA
          Vertices > Vertex X Y                       px of the full resolution

Several layers are classes if each layer with regions has a name and all names differ (MoNuSAC names its classes in
Attribute). Otherwise all layers are read as one, as MoNuSeg's authors do, whose second layers hold nuclei that were
added later. A negative region is cut out of the outlines of its layer.
"""

import dataclasses
import math
import pathlib
import xml.parsers.expat

import numpy as np
import shapely

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.labels.nuclei import Annotation
from nucseg_jax.data.labels.outline_repair import Outline, valid_outlines
from nucseg_jax.data.labels.outlines import outline_annotation, ring_of
from nucseg_jax.data.labels.text_file import read_text

# Types of regions: freehand outlines and rectangles are areas by their vertices, ellipses by their bounding box.
_AREAS = {"", "0", "1"}
_ELLIPSE = "2"
# Arrows, rulers and pointers enclose nothing.
_NO_AREAS = {"3", "4", "5"}
# The attribute that ImageScope gives to every layer.
_DESCRIPTION = "Description"
_LONGEST_NAME = 100
_MOST_DEPTH = 64


@dataclasses.dataclass
class _Region:
    name: str
    type: str
    is_negative: bool
    vertices: list[tuple[float, float]]


@dataclasses.dataclass
class _Layer:
    name: str
    regions: list[_Region] = dataclasses.field(default_factory=list)


def read_imagescope(path: pathlib.Path, image_height: int, image_width: int) -> Annotation:
    """Reads the outlines of an ImageScope file.

    Raises:
      UserError: no such XML, a DOCTYPE, ellipses, or outlines that `outlines.outline_annotation` refuses.
    """
    layers, microns = _parsed(read_text(path))
    filled = [layer for layer in layers if layer.regions]
    names = [layer.name for layer in filled]
    has_classes = all(names) and len(set(names)) == len(names)
    notes = []
    if len(filled) > 1 and not has_classes:
        notes.append(
            f"{len(filled)} layers are read as one, without classes: "
            + ("some have no name" if not all(names) else "some have the same name")
        )
    dropped = {"with less than three vertices": 0, "of arrows or rulers": 0}
    outlines: list[Outline] = []
    for number, layer in enumerate(filled, start=1):
        of_layer = f" of layer {number}" if len(filled) > 1 else ""
        found: list[Outline] = []
        negative: list[Outline] = []
        for region in layer.regions:
            if region.type in _NO_AREAS:
                dropped["of arrows or rulers"] += 1
                continue
            place = f"region {region.name}{of_layer}"
            _require_area(region, place)
            ring = ring_of(np.array(region.vertices, np.float64).reshape(-1, 2), place)
            if ring is None:
                dropped["with less than three vertices"] += 1
                continue
            outline = Outline(shapely.Polygon(ring), place, layer.name if has_classes else None)
            (negative if region.is_negative else found).append(outline)
        outlines += _cut(found, negative, notes) if negative else found
    notes += [f"{counted(count, 'region')} {what} left out" for what, count in dropped.items() if count]
    return outline_annotation(outlines, image_height, image_width, microns_per_px=microns, notes=notes)


def _require_area(region: _Region, place: str) -> None:
    if region.type == _ELLIPSE or (region.type == "1" and len(region.vertices) < 3):
        raise UserError(
            f"{place} is {'an ellipse' if region.type == _ELLIPSE else 'a rectangle'} given by its corners",
            expected="outlines by their vertices",
            advice="draw it with the pen tool",
        )
    if region.type not in _AREAS:
        raise UserError(f"{place} is of the type {region.type!r}", expected="outlines, type 0 or 1")


def _cut(outlines: list[Outline], negative: list[Outline], notes: list[str]) -> list[Outline]:
    """Outlines without the negative regions of their layer."""
    notes.append(f"{counted(len(negative), 'negative region')} cut out of the outlines")
    cutter = shapely.union_all([each.geometry for each in valid_outlines(negative, notes)])
    return [
        dataclasses.replace(each, geometry=shapely.difference(each.geometry, cutter))
        if shapely.intersects(each.geometry, cutter)
        else each
        for each in valid_outlines(outlines, notes)
    ]


def _parsed(content: bytes) -> tuple[list[_Layer], float | None]:
    """Layers, and microns per px; nothing outside the file is ever read, and no entity expanded."""
    reader = _Reader()
    parser = xml.parsers.expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.EntityDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    try:
        parser.Parse(content, True)
    except xml.parsers.expat.ExpatError as error:
        raise UserError(f"the XML cannot be parsed: {error}", advice="save it again in ImageScope") from None
    return reader.layers, reader.microns


def _refuse_doctype(*_: object) -> None:
    raise UserError(
        "the XML has a DOCTYPE, which ImageScope does not write",
        advice="remove it, if you know the file's origin",
    )


class _Reader:
    """Gathers layers from the elements as they come."""

    def __init__(self) -> None:
        self.layers: list[_Layer] = []
        self.microns: float | None = None
        self._open: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Takes an element; those that are not of the format are passed over, with all inside."""
        self._open.append(tag)
        if len(self._open) > _MOST_DEPTH:
            raise UserError(
                f"the XML is nested deeper than {_MOST_DEPTH} levels",
                expected="Annotations of Aperio ImageScope",
            )
        if len(self._open) == 1:
            if tag != "Annotations":
                raise UserError(f"the XML is of {tag[:100]!r}", expected="Annotations of Aperio ImageScope")
            self.microns = _microns(attributes.get("MicronsPerPixel", ""))
            return
        match self._open[1:]:
            case ["Annotation"]:
                self.layers.append(_Layer(attributes.get("Name", "").strip()[:_LONGEST_NAME]))
            case ["Annotation", "Attributes", "Attribute"]:
                layer, name = self.layers[-1], attributes.get("Name", "").strip()
                named = attributes.get("Value", "").strip() if name == _DESCRIPTION else name
                layer.name = layer.name or named[:_LONGEST_NAME]
            case ["Annotation", "Regions", "Region"]:
                regions = self.layers[-1].regions
                number = attributes.get("Id", str(len(regions) + 1))
                is_negative = attributes.get("NegativeROA", "0").strip() not in ("", "0")
                kind = attributes.get("Type", "").strip()
                regions.append(_Region(number[:_LONGEST_NAME], kind[:_LONGEST_NAME], is_negative, []))
            case ["Annotation", "Regions", "Region", "Vertices", "Vertex"]:
                region = self.layers[-1].regions[-1]
                region.vertices.append(_vertex(attributes, region.name))

    def end(self, _tag: str) -> None:
        """Leaves an element."""
        self._open.pop()


def _vertex(attributes: dict[str, str], region: str) -> tuple[float, float]:
    try:
        return _number(attributes["X"]), _number(attributes["Y"])
    except (KeyError, ValueError):
        shown = ", ".join(f"{name} = {attributes[name][:40]!r}" for name in ("X", "Y") if name in attributes)
        raise UserError(
            f"region {region} has a vertex with {shown or 'neither X nor Y'}",
            expected="X and Y, numbers with a decimal point",
        ) from None


def _number(text: str) -> float:
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _microns(text: str) -> float | None:
    """Microns per px, None where they are not stated or not plausible."""
    try:
        microns = _number(text)
    except ValueError:
        return None
    return microns if math.isfinite(microns) and 0.01 <= microns <= 10 else None
