"""Nuclei as AnnData: a row a nucleus, measures in X, its class and place beside them.

The elements are those of https://anndata.readthedocs.io/en/stable/fileformat-prose.html, each with its
`encoding-type` and `encoding-version`. They are the same in HDF5 and in Zarr, which a `Store` hides.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from nucseg_jax.inference.formats.finished_image import NOT_MEASURES, FinishedImage

SPATIAL = "spatial"
_INDEX = "_index"
_PLACES = [name for name in NOT_MEASURES if name not in ("nucleus", "class")]


class Store(Protocol):
    """A hierarchy of groups and arrays, in HDF5 or Zarr; paths are joined by '/', '' is the root."""

    def group(self, path: str, attributes: Mapping[str, Any]) -> None:
        """Makes a group, or gives attributes to one that is there."""

    def array(self, path: str, shape: Sequence[int], dtype: Any, attributes: Mapping[str, Any]) -> Any:
        """Makes an array of numbers, to be filled by slices."""

    def text(self, path: str, size: int, attributes: Mapping[str, Any]) -> Any:
        """Makes an array of texts [size], to be filled by slices."""

    def value(self, path: str, value: float | str, attributes: Mapping[str, Any]) -> None:
        """Makes a scalar."""


def write_tree(
    store: Store,
    image: FinishedImage,
    *,
    columns: Mapping[str, Sequence[str]] | None = None,
    uns: Mapping[str, Any] | None = None,
) -> None:
    """Writes an image's nuclei, batch by batch.

    Args:
      store: empty.
      image: the nuclei.
      columns: further columns of `obs` by name, each with the one text of all rows.
      uns: further values of `uns`: texts, numbers, and mappings of these.
    """
    columns = columns or {}
    measures, names, count = image.measures(), list(image.class_names), image.nuclei
    store.group("", _of("anndata", "0.1.0"))
    for name in ("layers", "obsm", "obsp", "varm", "varp"):
        store.group(name, _of("dict", "0.1.0"))
    x = store.array("X", (count, len(measures)), np.float64, _of("array", "0.2.0"))
    spatial = store.array(f"obsm/{SPATIAL}", (count, 2), np.float64, _of("array", "0.2.0"))
    order = ["nucleus", "class", *_PLACES, *columns]
    store.group("obs", {**_of("dataframe", "0.2.0"), _INDEX: _INDEX, "column-order": order})
    index = store.text(f"obs/{_INDEX}", count, _of("string-array", "0.2.0"))
    numbers = store.array("obs/nucleus", (count,), np.uint32, _of("array", "0.2.0"))
    places = {
        name: store.array(f"obs/{name}", (count,), np.float64, _of("array", "0.2.0")) for name in _PLACES
    }
    codes = _categorical(store, "obs/class", names, count)
    for name, (only,) in columns.items():
        _categorical(store, f"obs/{name}", [only], count)[:] = 0
    store.group("var", {**_of("dataframe", "0.2.0"), _INDEX: _INDEX, "column-order": []})
    _fill(store.text(f"var/{_INDEX}", len(measures), _of("string-array", "0.2.0")), measures)
    _dict(store, "uns", {"microns_per_px": image.microns_per_px, "input": image.input.name, **(uns or {})})
    done = 0
    code_of = {name: code for code, name in enumerate(names)}
    for table, _, _ in image.batches():
        rows = slice(done, done + len(table))
        done = rows.stop
        column = {name: table[name].to_numpy() for name in ("nucleus", *_PLACES, *measures)}
        x[rows] = np.stack([column[name] for name in measures], axis=1)
        spatial[rows] = np.stack([column["x_px"], column["y_px"]], axis=1)
        numbers[rows] = column["nucleus"]
        _fill(index, [str(number) for number in column["nucleus"].tolist()], rows)
        codes[rows] = np.array([code_of[name] for name in table["class"].to_pylist()], codes.dtype)
        for name, place in places.items():
            place[rows] = column[name]


def _of(kind: str, version: str) -> dict[str, Any]:
    return {"encoding-type": kind, "encoding-version": version}


def _categorical(store: Store, path: str, names: Sequence[str], count: int) -> Any:
    """Returns the array of codes, to be filled; int8, as pandas has it, or int16 for more than 127 names."""
    store.group(path, {**_of("categorical", "0.2.0"), "ordered": False})
    _fill(store.text(f"{path}/categories", len(names), _of("string-array", "0.2.0")), names)
    dtype = np.int8 if len(names) <= np.iinfo(np.int8).max else np.int16
    return store.array(f"{path}/codes", (count,), dtype, _of("array", "0.2.0"))


def _dict(store: Store, path: str, values: Mapping[str, Any]) -> None:
    store.group(path, _of("dict", "0.1.0"))
    for name, value in values.items():
        if isinstance(value, Mapping):
            _dict(store, f"{path}/{name}", value)
        else:
            kind = "string" if isinstance(value, str) else "numeric-scalar"
            store.value(f"{path}/{name}", value, _of(kind, "0.2.0"))


def _fill(array: Any, texts: Sequence[str], rows: slice = slice(None)) -> None:
    if texts:
        array[rows] = np.array(texts, object)
