"""GeoParquet 1.1: a row a nucleus, with its outline as WKB, its bounding box and all of its measures.

https://geoparquet.org/releases/v1.1.0/. Coordinates are pixels from the image's upper left corner, y down: the "crs" is
null, which the standard keeps for coordinates that are not on the earth.
"""

import json
import pathlib
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from nucseg_jax.core.files import atomic_write
from nucseg_jax.inference.formats.finished_image import FinishedImage
from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.formats.simplify import simplified

GEOMETRY, BBOX = "geometry", "bbox"
_NUMBER = "nucleus"
_SIDES = ("xmin", "ymin", "xmax", "ymax")
# A nucleus that another program drew may be in several pieces.
_KINDS = {
    int(shapely.GeometryType.POLYGON): "Polygon",
    int(shapely.GeometryType.MULTIPOLYGON): "MultiPolygon",
}
_BBOX_TYPE = pa.struct([(side, pa.float64()) for side in _SIDES])

# https://pandas.pydata.org/docs/development/developer.html
_PANDAS = {
    "index_columns": [_NUMBER],
    "column_indexes": [],
    "columns": [
        {
            "name": _NUMBER,
            "field_name": _NUMBER,
            "pandas_type": "uint32",
            "numpy_type": "uint32",
            "metadata": None,
        }
    ],
    "pandas_version": "2.0.0",
}


def write_geoparquet(image: FinishedImage, path: pathlib.Path, options: Options) -> None:
    """Writes it atomically; see `write_geometries`."""
    with atomic_write(path) as part:
        write_geometries(image, part, options)


def write_geometries(
    image: FinishedImage, path: pathlib.Path, options: Options, *, only_outlines: bool = False
) -> None:
    """Writes `path` as it stands, batch by batch.

    Args:
      image: its nuclei.
      path: the file.
      options: choices.
      only_outlines: without measures; the number of the nucleus is the index that pandas gives the rows.
    """
    kept = image.columns()
    if only_outlines:
        kept = pa.schema([kept.field(_NUMBER)])
    schema = kept.append(pa.field(GEOMETRY, pa.binary())).append(pa.field(BBOX, _BBOX_TYPE))
    about = {"microns_per_px": image.microns_per_px, "unit": "px", "input": image.input.name}
    metadata = {"nucseg_jax": about, **({"pandas": _PANDAS} if only_outlines else {})}
    schema = schema.with_metadata({name: json.dumps(value) for name, value in metadata.items()})
    kinds: set[int] = set()
    lowest, highest = np.full(2, np.inf), np.full(2, -np.inf)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table, _, outlines in image.batches():
            outlines = simplified(outlines, options.simplify_px)
            bounds = shapely.bounds(outlines)
            kinds |= set(shapely.get_type_id(outlines).tolist())
            lowest = np.minimum(lowest, bounds[:, :2].min(axis=0))
            highest = np.maximum(highest, bounds[:, 2:].max(axis=0))
            boxes = pa.StructArray.from_arrays([pa.array(side) for side in bounds.T], fields=list(_BBOX_TYPE))
            geometry = pa.array(shapely.to_wkb(outlines, byte_order=1, flavor="iso").tolist(), pa.binary())
            table = table.select(kept.names)
            table = table.append_column(GEOMETRY, geometry).append_column(BBOX, boxes)
            writer.write_table(table.replace_schema_metadata(schema.metadata))
        box = [*lowest.tolist(), *highest.tolist()] if image.nuclei else None
        # The bounding box of all is known at the end, where a Parquet file has its metadata anyway.
        writer.add_key_value_metadata({"geo": json.dumps(_geo(box, kinds))})


def _geo(box: list[float] | None, kinds: Collection[int]) -> dict[str, Any]:
    """Returns the file's metadata as the standard defines them.

    Args:
      box: of all outlines; None without any.
      kinds: numbers of the types of geometry that occur, as shapely has them.
    """
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": [_KINDS[kind] for kind in sorted(kinds)] or ["Polygon"],
        "crs": None,
        "edges": "planar",
        # By the numbers: on a screen, where y points down, they run clockwise.
        "orientation": "counterclockwise",
        "covering": {BBOX: {side: [BBOX, side] for side in _SIDES}},
    }
    if box:
        column["bbox"] = box
    return {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
