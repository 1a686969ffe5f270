"""The .h5ad file by the published format, read by h5py alone."""

import h5py
import numpy as np
import pyarrow.parquet as pq

from nucseg_jax.inference.formats.anndata_file import write_anndata
from nucseg_jax.inference.formats.options import Options

# https://anndata.readthedocs.io/en/stable/fileformat-prose.html
VERSIONS = {
    "anndata": "0.1.0",
    "dict": "0.1.0",
    "array": "0.2.0",
    "dataframe": "0.2.0",
    "categorical": "0.2.0",
    "string-array": "0.2.0",
    "string": "0.2.0",
    "numeric-scalar": "0.2.0",
}


def texts(dataset) -> list[str]:
    return dataset.asstr()[:].tolist()


def test_every_element_states_its_encoding_and_a_frame_its_columns(images, tmp_path):
    for image in images:
        write_anndata(image, tmp_path / "a.h5ad", Options())
        with h5py.File(tmp_path / "a.h5ad") as file:
            nodes = {"": file}
            file.visititems(lambda name, node, nodes=nodes: nodes.update({name: node}))
            for name, node in nodes.items():
                assert VERSIONS[node.attrs["encoding-type"]] == node.attrs["encoding-version"], name
            assert file.attrs["encoding-type"] == "anndata"
            assert set(file) == {"X", "layers", "obs", "obsm", "obsp", "uns", "var", "varm", "varp"}
            for name in ("obs", "var"):
                frame = file[name]
                assert frame.attrs["encoding-type"] == "dataframe"
                order = [str(column) for column in frame.attrs["column-order"]]
                assert {*order, frame.attrs["_index"]} == set(frame)
            assert file["obs/class"].attrs["encoding-type"] == "categorical"
            assert not file["obs/class"].attrs["ordered"]
            assert file["X"].shape == (image.nuclei, len(file["var/_index"]))
            assert file["obsm/spatial"].shape == (image.nuclei, 2)


def test_rows_are_nuclei_and_columns_measures(images, tmp_path):
    image = images[0]
    write_anndata(image, tmp_path / "a.h5ad", Options())
    table = pq.read_table(image.files.parquet).to_pydict()
    with h5py.File(tmp_path / "a.h5ad") as file:
        measures = texts(file["var/_index"])
        assert {"area_um2", "mean_probability", "mean_haematoxylin"} <= set(measures)
        for index, name in enumerate(measures):
            np.testing.assert_array_equal(file["X"][:, index], table[name])
        assert texts(file["obs/_index"]) == [str(number) for number in table["nucleus"]]
        names = texts(file["obs/class/categories"])
        assert names == list(image.class_names)
        assert [names[code] for code in file["obs/class/codes"][:]] == table["class"]
        np.testing.assert_array_equal(
            file["obsm/spatial"][:], np.stack([table["x_px"], table["y_px"]], axis=1)
        )
        assert file["uns/microns_per_px"][()] == image.microns_per_px
        assert file["uns/input"].asstr()[()] == image.input.name
        # Nothing is left out: what is no measure is a column beside them.
        assert set(table) <= {*measures, *file["obs"]}


def test_batches_make_no_difference(images, tmp_path, monkeypatch):
    image = images[0]
    write_anndata(image, tmp_path / "whole.h5ad", Options())
    whole_batches = type(image).batches
    monkeypatch.setattr(type(image), "batches", lambda self: whole_batches(self, 7))
    write_anndata(image, tmp_path / "parts.h5ad", Options())
    with h5py.File(tmp_path / "whole.h5ad") as one, h5py.File(tmp_path / "parts.h5ad") as other:
        for name in ("X", "obsm/spatial", "obs/nucleus", "obs/class/codes", "obs/_index"):
            np.testing.assert_array_equal(one[name][:], other[name][:])
