"""The GeoJSON of QuPath, compressed by gzip, with fewer corners if that is asked for."""

import gzip
import pathlib

import shapely

from nucseg_jax.core.files import atomic_write
from nucseg_jax.inference.formats.finished_image import FinishedImage
from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.formats.simplify import simplified

_GEOMETRY, _PROPERTIES = '"geometry":', ',"properties":'


def write_geojson_gz(image: FinishedImage, path: pathlib.Path, options: Options) -> None:
    """Writes a FeatureCollection; all but the outlines is as `predict` wrote it, and equal input gives equal bytes."""
    with (
        atomic_write(path) as part,
        part.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as text,
    ):
        text.write(b'{"type":"FeatureCollection","features":[')
        separator = "\n"
        for _, features, outlines in image.batches():
            if options.simplify_px:
                geometries = shapely.to_geojson(simplified(outlines, options.simplify_px))
                features = [_with(*each) for each in zip(features, geometries, strict=True)]
            for feature in features:
                text.write((separator + feature).encode())
                separator = ",\n"
        text.write(b"\n]}\n")


def _with(feature: str, geometry: str) -> str:
    """Replaces the geometry of a feature, which has no text of its own in it."""
    before, name, rest = feature.partition(_GEOMETRY)
    _, following, after = rest.partition(_PROPERTIES)
    return before + name + geometry + following + after
