"""GeoParquet by its standard: the bytes of the outlines are read here by a reader of its own."""

import itertools
import json
import struct

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from nucseg_jax.inference.formats.geoparquet import write_geoparquet
from nucseg_jax.inference.formats.options import Options


def polygon_of_wkb(content: bytes) -> list[list[list[float]]]:
    """Rings of a polygon in little-endian well-known binary (OGC 06-103r4, 8.2)."""
    order, kind, rings = struct.unpack_from("<BII", content)
    assert (order, kind) == (1, 3)
    found, offset = [], 9
    for _ in range(rings):
        (points,) = struct.unpack_from("<I", content, offset)
        values = struct.unpack_from(f"<{2 * points}d", content, offset + 4)
        found.append([list(point) for point in zip(values[::2], values[1::2], strict=True)])
        offset += 4 + 16 * points
    assert offset == len(content)
    return found


def signed_area(ring: list[list[float]]) -> float:
    return sum(x * v - u * y for (x, y), (u, v) in itertools.pairwise(ring)) / 2


def test_outlines_are_those_of_the_geojson_and_measures_those_of_the_table(images, tmp_path):
    image = images[0]
    write_geoparquet(image, tmp_path / "a.parquet", Options())
    table = pq.read_table(tmp_path / "a.parquet")
    features = json.loads(image.files.geojson.read_text())["features"]
    found = [polygon_of_wkb(value) for value in table["geometry"].to_pylist()]
    assert found == [feature["geometry"]["coordinates"] for feature in features]
    assert any(len(rings) > 1 for rings in found)
    original = pq.read_table(image.files.parquet)
    assert table.select(original.column_names).equals(original)
    for rings, box in zip(found, table["bbox"].to_pylist(), strict=True):
        points = np.array(rings[0])
        assert [box["xmin"], box["ymin"]] == points.min(axis=0).tolist()
        assert [box["xmax"], box["ymax"]] == points.max(axis=0).tolist()


def test_the_metadata_are_those_of_version_1_1(images, tmp_path):
    write_geoparquet(images[0], tmp_path / "a.parquet", Options())
    file = pq.ParquetFile(tmp_path / "a.parquet")
    geo = json.loads(file.metadata.metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"], column["edges"]) == ("WKB", ["Polygon"], "planar")
    # Null, not absent, which would be longitude and latitude.
    assert column["crs"] is None
    assert "crs" in column
    assert column["covering"] == {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}}
    table = file.read()
    boxes = table["bbox"].to_pylist()
    expected = [
        *(min(box[side] for box in boxes) for side in ("xmin", "ymin")),
        *(max(box[side] for box in boxes) for side in ("xmax", "ymax")),
    ]
    assert column["bbox"] == expected
    assert column["orientation"] == "counterclockwise"
    for value in table["geometry"].to_pylist():
        first, *holes = polygon_of_wkb(value)
        assert signed_area(first) > 0
        assert all(signed_area(hole) < 0 for hole in holes)


def test_an_image_without_nuclei_has_a_table_without_rows(images, tmp_path):
    write_geoparquet(images[1], tmp_path / "b.parquet", Options())
    file = pq.ParquetFile(tmp_path / "b.parquet")
    assert file.metadata.num_rows == 0
    assert "bbox" not in json.loads(file.metadata.metadata[b"geo"])["columns"]["geometry"]


@pytest.mark.parametrize("simplify_px", [0.0, 1.5])
def test_outlines_are_valid(simplify_px, images, tmp_path):
    write_geoparquet(images[0], tmp_path / "a.parquet", Options(simplify_px))
    outlines = shapely.from_wkb(pq.read_table(tmp_path / "a.parquet")["geometry"].to_pylist())
    assert shapely.is_valid(outlines).all()
    assert len(outlines) == images[0].nuclei
