"""Files of nuclei opened by the libraries that they are for; nothing here knows this package.

`python tests/parity/format_readers.py FOLDER` does so for a folder that `formats` wrote.
"""

import gzip
import importlib.metadata
import json
import pathlib
import sys
import warnings

import numpy as np


def truth(folder: pathlib.Path, stem: str):
    """Returns table (columns to arrays), numbers [H, W] and microns per pixel, as `predict` wrote them."""
    import pyarrow.parquet as pq
    import zarr

    store = zarr.open_group(folder / f"{stem}.probability.zarr", mode="r")
    table = pq.read_table(folder / f"{stem}.nuclei.parquet").to_pydict()
    numbers = np.asarray(store["nucleus"])
    assert len(set(np.unique(numbers).tolist()) - {0}) == len(table["nucleus"])
    table = {name: np.array(values) for name, values in table.items()}
    return table, numbers, float(store.attrs["microns_per_px"])


def labels(folder: pathlib.Path, stem: str) -> None:
    """By tifffile."""
    import tifffile

    _, numbers, _ = truth(folder, stem)
    np.testing.assert_array_equal(tifffile.imread(folder / f"{stem}.labels.ome.tif"), numbers)


def geoparquet(folder: pathlib.Path, stem: str) -> None:
    """By geopandas."""
    import geopandas

    table, _, microns = truth(folder, stem)
    path = folder / f"{stem}.geo.parquet"
    frame = geopandas.read_parquet(path)
    assert len(frame) == len(table["nucleus"])
    assert frame.crs is None
    assert frame.geometry.is_valid.all()
    np.testing.assert_allclose(frame.area * microns**2, table["area_um2"])
    for name, values in table.items():
        np.testing.assert_array_equal(frame[name], values)
    if len(frame):
        left, top, right, bottom = frame.total_bounds
        half = geopandas.read_parquet(path, bbox=(left, top, right, (top + bottom) / 2))
        expected = frame[frame.bounds["miny"] <= (top + bottom) / 2]
        assert half["nucleus"].tolist() == expected["nucleus"].tolist()


def geojson_gz(folder: pathlib.Path, stem: str) -> None:
    """By GDAL, through geopandas."""
    import geopandas

    table, _, microns = truth(folder, stem)
    path = folder / f"{stem}.geojson.gz"
    features = json.loads(gzip.decompress(path.read_bytes()))["features"]
    assert len(features) == len(table["nucleus"])
    if features:
        # GeoJSON has no word for pixels: GDAL takes them for degrees.
        frame = geopandas.read_file(f"/vsigzip/{path.absolute()}").set_crs(None, allow_override=True)
        assert frame.geometry.is_valid.all()
        np.testing.assert_allclose(frame.area * microns**2, table["area_um2"])


def anndata(folder: pathlib.Path, stem: str) -> None:
    """By anndata."""
    import anndata as library

    table, _, microns = truth(folder, stem)
    found = library.read_h5ad(folder / f"{stem}.nuclei.h5ad")
    same_table(found, table, microns)


def same_table(found, table, microns: float) -> None:
    """An AnnData object has every column of the table, where its conventions put them."""
    assert found.shape[0] == len(table["nucleus"])
    assert found.obs_names.tolist() == [str(number) for number in table["nucleus"]]
    for index, name in enumerate(found.var_names):
        np.testing.assert_array_equal(found.X[:, index], table[name])
    assert {*found.var_names, *found.obs} >= set(table)
    for name in set(table) - set(found.var_names):
        assert found.obs[name].tolist() == table[name].tolist()
    assert found.obs["class"].dtype == "category"
    np.testing.assert_array_equal(
        found.obsm["spatial"], np.stack([table["x_px"], table["y_px"]], axis=1).reshape(-1, 2)
    )
    assert found.uns["microns_per_px"] == microns


def ome_zarr(folder: pathlib.Path, stem: str) -> None:
    """By ome-zarr-py, as napari does, and by the models of ome-zarr-models, which check the metadata."""
    import ome_zarr_models.v04
    import zarr
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    _, numbers, microns = truth(folder, stem)
    path = folder / f"{stem}.nuclei.ome.zarr"
    # Between the two is the group of all labels.
    image, label = [node for node in Reader(parse_url(path, mode="r"))() if node.data]
    probability = np.asarray(zarr.open_group(folder / f"{stem}.probability.zarr", mode="r")["probability"])
    np.testing.assert_array_equal(np.asarray(image.data[0]), probability)
    np.testing.assert_array_equal(np.asarray(label.data[0]), numbers)
    for node in (image, label):
        assert [axis["name"] for axis in node.metadata["axes"]] == ["y", "x"]
        assert {axis["unit"] for axis in node.metadata["axes"]} == {"micrometer"}
        (first, *_) = node.metadata["coordinateTransformations"]
        assert first[0]["scale"] == [microns, microns]
    group = zarr.open_group(path, mode="r")
    model = ome_zarr_models.v04.Image.from_zarr(group)
    assert model.labels.attributes.labels == ["nucleus"]
    ome_zarr_models.v04.ImageLabel.from_zarr(group["labels/nucleus"])


def spatialdata(folder: pathlib.Path, stem: str) -> None:
    """By spatialdata."""
    import spatialdata as library
    from spatialdata.transformations import get_transformation

    table, numbers, microns = truth(folder, stem)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", message=".*[Tt]ransform.*")
        found = library.read_zarr(folder / f"{stem}.spatialdata.zarr")
    element = found["nucleus_labels"]
    first = element if hasattr(element, "data") else element["scale0"]["image"]
    np.testing.assert_array_equal(np.asarray(first.data), numbers)
    assert set(found.coordinate_systems) == {"global", "microns"}
    if not len(table["nucleus"]):
        assert len(found.shapes) == len(found.tables) == 0
        return
    shapes = found["nuclei"]
    assert shapes.index.tolist() == table["nucleus"].tolist()
    np.testing.assert_allclose(shapes.area * microns**2, table["area_um2"])
    same_table(found["table"], table, microns)
    library.models.TableModel().validate(found["table"])
    way = get_transformation(shapes, "microns").to_affine_matrix(("x", "y"), ("x", "y"))
    np.testing.assert_allclose(way, np.diag([microns, microns, 1.0]))
    joined, rows = library.join_spatialelement_table(
        sdata=found, spatial_element_names="nuclei", table_name="table", how="inner"
    )
    assert len(joined["nuclei"]) == len(rows) == len(table["nucleus"])


def coco(folder: pathlib.Path, stem: str) -> None:
    """By pycocotools."""
    from pycocotools import mask
    from pycocotools.coco import COCO

    table, numbers, _ = truth(folder, stem)
    found = COCO(folder / f"{stem}.coco.json")
    annotations = found.loadAnns(found.getAnnIds())
    assert [each["id"] for each in annotations] == table["nucleus"].tolist()
    names = {each["id"]: each["name"] for each in found.loadCats(found.getCatIds())}
    assert [names[each["category_id"]] for each in annotations] == table["class"].tolist()
    for each in annotations:
        pixels = numbers == each["id"]
        np.testing.assert_array_equal(found.annToMask(each), pixels)
        assert each["area"] == mask.area(each["segmentation"]) == np.count_nonzero(pixels)
        assert each["bbox"] == mask.toBbox(each["segmentation"]).tolist()
        again = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
        assert again["counts"].decode() == each["segmentation"]["counts"]


# Formats by name: the libraries that a check needs, and the check.
READERS = {
    "labels": (("tifffile",), labels),
    "geoparquet": (("geopandas",), geoparquet),
    "geojson_gz": (("geopandas",), geojson_gz),
    "anndata": (("anndata",), anndata),
    "ome_zarr": (("ome_zarr", "ome_zarr_models"), ome_zarr),
    "spatialdata": (("spatialdata",), spatialdata),
    "coco": (("pycocotools",), coco),
}


def main(folder: pathlib.Path) -> None:
    """Opens every file of a folder, and prints by which version of which library."""
    stems = [path.name.removesuffix(".nuclei.parquet") for path in sorted(folder.glob("*.nuclei.parquet"))]
    for name, (libraries, check) in READERS.items():
        for stem in stems:
            check(folder, stem)
        versions = [f"{each} {importlib.metadata.version(each.replace('_', '-'))}" for each in libraries]
        print(f"{name}: {len(stems)} read by {', '.join(versions)}", flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
