"""Label files as other programs write them."""

import json
import pathlib

import numpy as np
import shapely

from nucseg_jax.data.labels.annotation import Annotation, read_annotation
from nucseg_jax.inference.nuclei.outlines import outlines


def write_geojson(path: pathlib.Path, features: list[dict]) -> pathlib.Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def feature(geometry: shapely.Geometry, name: str | None = None, kind: str = "annotation", **more) -> dict:
    properties = {"objectType": kind}
    if name is not None:
        properties["classification"] = {"name": name, "color": [200, 0, 0]}
    return {
        "type": "Feature",
        "geometry": json.loads(shapely.to_geojson(geometry)),
        "properties": properties,
        **more,
    }


def write_outlines(path: pathlib.Path, number: np.ndarray, name: str | None = None) -> pathlib.Path:
    """The outlines that `predict` writes for a label map."""
    polygons = outlines(number.astype(np.uint32), first=1, count=int(number.max()), top=0)
    return write_geojson(path, [feature(polygon, name, "detection") for polygon in polygons])


def write_xml(
    path: pathlib.Path, layers: list[dict], head: str = "", microns: str = "0.2520"
) -> pathlib.Path:
    """ImageScope's XML: layers of {name, attribute, regions}, regions of {points, type, negative}."""
    lines = [head, f'<Annotations MicronsPerPixel="{microns}">']
    for layer in layers:
        name, value = layer.get("attribute", ("Description", ""))
        lines.append(f'<Annotation Id="1" Name="{layer.get("name", "")}" Type="4"><Attributes>')
        lines.append(f'<Attribute Name="{name}" Id="0" Value="{value}"/></Attributes><Regions>')
        for number, region in enumerate(layer["regions"], start=1):
            if not isinstance(region, dict):
                region = {"points": region}
            kind, negative = region.get("type", 0), int(region.get("negative", False))
            lines.append(
                f'<Region Id="{number}" Type="{kind}" NegativeROA="{negative}"><Attributes/><Vertices>'
            )
            lines += [f'<Vertex X="{x}" Y="{y}"/>' for x, y in region["points"]]
            lines.append("</Vertices></Region>")
        lines.append("</Regions></Annotation>")
    path.write_text("\n".join([*lines, "</Annotations>"]).strip())
    return path


def square(left: float, top: float, side: float = 10) -> list[tuple[float, float]]:
    return [(left, top), (left + side, top), (left + side, top + side), (left, top + side)]


def read(path: pathlib.Path, height: int = 100, width: int = 100, kind: str = "auto") -> Annotation:
    return read_annotation(path, kind=kind, image_height=height, image_width=width)


def drawn(annotation: Annotation, height: int = 100, width: int = 100, classes: dict | None = None):
    """The whole annotation at its own scale."""
    return annotation.draw(0, 0, height, width, scale_y=1.0, scale_x=1.0, class_number=classes or {})


def label_map(seed: int, side: int = 60, values: int = 3) -> np.ndarray:
    """int32 [side, side]: 4-connected nuclei with holes, that touch along edges and at corners, some of one pixel."""
    from skimage.measure import label

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, values, (side // 3, side // 3)).repeat(3, axis=0).repeat(3, axis=1)
    noise = rng.integers(0, values, (side, side))
    mixed = np.where(rng.random((side, side)) < 0.15, noise, coarse)
    return label(mixed, connectivity=1, background=0).astype(np.int32)
