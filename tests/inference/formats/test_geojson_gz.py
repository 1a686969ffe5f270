import gzip
import json
import uuid

import shapely

from nucseg_jax.inference.formats.geojson_gz import write_geojson_gz
from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.formats.simplify import simplified


def test_it_is_the_geojson_compressed_and_equal_each_time(images, tmp_path):
    for image in images:
        paths = [tmp_path / f"{name}.geojson.gz" for name in ("one", "other")]
        for path in paths:
            write_geojson_gz(image, path, Options())
        assert paths[0].read_bytes() == paths[1].read_bytes()
        assert gzip.decompress(paths[0].read_bytes()) == image.files.geojson.read_bytes()


def test_only_outlines_are_simplified(images, tmp_path):
    image = images[0]
    write_geojson_gz(image, tmp_path / "a.gz", Options(simplify_px=1.0))
    found = json.loads(gzip.decompress((tmp_path / "a.gz").read_bytes()))
    before = json.loads(image.files.geojson.read_bytes())
    expected = simplified(
        shapely.from_geojson([json.dumps(each["geometry"]) for each in before["features"]]), 1.0
    )
    corners = 0
    for one, other, outline in zip(found["features"], before["features"], expected, strict=True):
        assert shapely.equals(shapely.geometry.shape(one.pop("geometry")), outline)
        corners += shapely.get_num_coordinates(shapely.geometry.shape(other.pop("geometry")))
        assert one == other
    assert shapely.get_num_coordinates(expected).sum() < 0.7 * corners


def test_features_are_as_qupath_reads_objects(images):
    """As its GsonTools parses them: a UUID, a type of object, a class with three levels, measurements by name."""
    collection = json.loads(images[0].files.geojson.read_bytes())
    assert collection["type"] == "FeatureCollection"
    identities = set()
    for feature in collection["features"]:
        assert feature["type"] == "Feature"
        identities.add(uuid.UUID(feature["id"]))
        properties = feature["properties"]
        assert properties["objectType"] == "detection"
        assert isinstance(properties["classification"]["name"], str)
        color = properties["classification"]["color"]
        assert len(color) == 3
        assert all(type(level) is int and 0 <= level <= 255 for level in color)
        assert all(type(value) is float for value in properties["measurements"].values())
        assert len(properties["measurements"]) == 8
    assert len(identities) == images[0].nuclei
