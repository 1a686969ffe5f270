"""The SpatialData store by the layout of its version: metadata as JSON, arrays by zarr, outlines by pyarrow."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
import zarr

from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.formats.spatialdata_zarr import write_spatialdata
from tests.inference.formats.predicted_folder import MICRONS_PER_PX, numbers_of


@pytest.fixture
def path(images, tmp_path):
    write_spatialdata(images[0], tmp_path / "a.zarr", Options())
    return tmp_path / "a.zarr"


def attributes(group) -> dict:
    about = json.loads((group / "zarr.json").read_text())
    assert about["zarr_format"] == 3
    return about["attributes"]


def test_elements_state_their_versions_and_coordinate_systems(path):
    assert attributes(path)["spatialdata_attrs"]["version"] == "0.2"
    labels, shapes = attributes(path / "labels" / "nucleus_labels"), attributes(path / "shapes" / "nuclei")
    assert attributes(path / "labels")["ome"]["labels"] == ["nucleus_labels"]
    assert labels["ome"]["version"] == "0.5-dev-spatialdata"
    assert labels["spatialdata_attrs"]["version"] == shapes["spatialdata_attrs"]["version"] == "0.3"
    (multiscale,) = labels["ome"]["multiscales"]
    for axes, element in (("yx", multiscale), ("xy", shapes)):
        ways = {way["output"]["name"]: way for way in element["coordinateTransformations"]}
        assert ways["global"]["type"] == "identity"
        assert ways["microns"]["scale"] == [MICRONS_PER_PX] * 2
        assert all([axis["name"] for axis in way["input"]["axes"]] == list(axes) for way in ways.values())


def test_labels_outlines_and_rows_are_of_the_same_nuclei(path, images, folder):
    root = zarr.open_group(path, mode="r")
    numbers = np.asarray(root["labels/nucleus_labels/0"])
    np.testing.assert_array_equal(numbers, numbers_of(folder, images[0].files.stem))
    assert root["labels/nucleus_labels/0"].metadata.dimension_names == ("y", "x")
    shapes = pq.read_table(path / "shapes" / "nuclei" / "shapes.parquet")
    assert json.loads(shapes.schema.metadata[b"pandas"])["index_columns"] == ["nucleus"]
    outlines = shapely.from_wkb(shapes["geometry"].to_pylist())
    of_pixels = np.bincount(numbers.ravel())[1:]
    np.testing.assert_array_equal(shapes["nucleus"], np.arange(1, len(of_pixels) + 1))
    np.testing.assert_array_equal(shapely.area(outlines), of_pixels)
    table = root["tables/table"]
    np.testing.assert_array_equal(table["obs/nucleus"], shapes["nucleus"])
    area = np.asarray(table["var/_index"]).tolist().index("area_um2")
    np.testing.assert_allclose(np.asarray(table["X"])[:, area], of_pixels * MICRONS_PER_PX**2)


def test_the_table_says_which_element_it_is_of(path):
    root = zarr.open_group(path, mode="r")
    table = root["tables/table"]
    keys = {"region": "nuclei", "region_key": "region", "instance_key": "nucleus"}
    assert {name: table.attrs[name] for name in keys} == keys
    assert {name: table[f"uns/spatialdata_attrs/{name}"][()] for name in keys} == keys
    assert np.asarray(table["obs/region/categories"]).tolist() == ["nuclei"]
    assert not np.asarray(table["obs/region/codes"]).any()
    assert table.attrs["encoding-type"] == "anndata"


def test_an_image_without_nuclei_has_labels_alone(images, tmp_path):
    write_spatialdata(images[1], tmp_path / "b.zarr", Options())
    root = zarr.open_group(tmp_path / "b.zarr", mode="r")
    assert not np.asarray(root["labels/nucleus_labels/0"]).any()
    assert list(root) == ["labels"]
