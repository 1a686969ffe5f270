"""SpatialData: numbers of nuclei as labels, outlines as shapes, measures as a table, in one Zarr store.

The container's version 0.2, as spatialdata 0.7 writes it (Zarr 3; labels and shapes 0.3, tables 0.2). Everything is in
pixels, which is the coordinate system `global`; `microns` is the other one.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import zarr

from nucseg_jax.inference.formats.anndata_tree import write_tree
from nucseg_jax.inference.formats.finished_image import BATCH_NUCLEI, NUCLEUS, FinishedImage
from nucseg_jax.inference.formats.geoparquet import write_geometries
from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.formats.pyramid import AXES, every_second, write_levels
from nucseg_jax.inference.formats.store_folder import new_store

LABELS, SHAPES, TABLE = "nucleus_labels", "nuclei", "table"
_REGION = "region"


def write_spatialdata(image: FinishedImage, path: pathlib.Path, options: Options) -> None:
    """Writes the folder, which appears when it is whole; rows of the table belong to shapes by the nucleus's number.

    An image without nuclei has labels alone.
    """
    with new_store(path, zarr_format=3) as (root, folder):
        root.attrs["spatialdata_attrs"] = {"version": "0.2"}
        _write_labels(root.create_group("labels"), image)
        if not image.nuclei:
            # spatialdata refuses shapes without a shape, and a table of what is not there.
            return
        shapes = root.create_group("shapes").create_group(SHAPES)
        shapes.attrs.update(
            {
                "encoding-type": "ngff:shapes",
                "axes": ["x", "y"],
                "coordinateTransformations": _transformations("xy", image.microns_per_px),
                "spatialdata_attrs": {"version": "0.3"},
            }
        )
        write_geometries(image, folder / shapes.path / "shapes.parquet", options, only_outlines=True)
        table = root.create_group("tables").create_group(TABLE)
        keys = {"region": SHAPES, "region_key": _REGION, "instance_key": "nucleus"}
        write_tree(_Zarr(table), image, columns={_REGION: [SHAPES]}, uns={"spatialdata_attrs": keys})
        table.attrs.update({"spatialdata-encoding-type": "ngff:regions_table", **keys, "version": "0.2"})


def _write_labels(labels: zarr.Group, image: FinishedImage) -> None:
    labels.attrs["ome"] = {"labels": [LABELS]}
    group = labels.create_group(LABELS)
    datasets = write_levels(
        group,
        image.map(NUCLEUS),
        dtype=image.label_dtype,
        px=1.0,
        halve=every_second,
        convert=image.labels,
    )
    multiscale: dict[str, Any] = {
        "name": LABELS,
        "axes": [{"name": axis, "type": "space"} for axis in AXES],
        "datasets": datasets,
        "coordinateTransformations": _transformations("yx", image.microns_per_px),
    }
    group.attrs.update(
        {
            "ome": {
                "version": "0.5-dev-spatialdata",
                "multiscales": [multiscale],
                "image-label": {"version": "0.5"},
            },
            "spatialdata_attrs": {"version": "0.3"},
        }
    )


def _transformations(axes: str, microns_per_px: float) -> list[dict[str, Any]]:
    """Returns the ways from pixels to both coordinate systems."""

    def system(name: str) -> dict[str, Any]:
        return {"name": name, "axes": [{"name": axis, "type": "space", "unit": "unit"} for axis in axes]}

    return [
        {"type": "identity", "input": system(axes), "output": system("global")},
        {
            "type": "scale",
            "scale": [microns_per_px] * 2,
            "input": system(axes),
            "output": system("microns"),
        },
    ]


class _Zarr:
    """See `anndata_tree.Store`."""

    def __init__(self, root: zarr.Group):
        self._root = root

    def group(self, path: str, attributes: Mapping[str, Any]) -> None:
        node = self._root.require_group(path) if path else self._root
        node.attrs.update(dict(attributes))

    def array(self, path: str, shape: Sequence[int], dtype: Any, attributes: Mapping[str, Any]) -> Any:
        rows = min(max(shape[0], 1), BATCH_NUCLEI)
        return self._root.create_array(
            path,
            shape=tuple(shape),
            chunks=(rows, *(max(size, 1) for size in shape[1:])),
            dtype=dtype,
            attributes=dict(attributes),
        )

    def text(self, path: str, size: int, attributes: Mapping[str, Any]) -> Any:
        return self.array(path, (size,), str, attributes)

    def value(self, path: str, value: float | str, attributes: Mapping[str, Any]) -> None:
        dtype = str if isinstance(value, str) else "float64"
        array = self._root.create_array(path, shape=(), dtype=dtype, attributes=dict(attributes))
        array[()] = value
