"""AnnData as one HDF5 file, .h5ad."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from nucseg_jax.core.files import atomic_write
from nucseg_jax.inference.formats.anndata_tree import write_tree
from nucseg_jax.inference.formats.finished_image import FinishedImage
from nucseg_jax.inference.formats.options import Options

_TEXT = h5py.string_dtype(encoding="utf-8")


class _Hdf5:
    """See `anndata_tree.Store`."""

    def __init__(self, file: h5py.File):
        self._file = file

    def group(self, path: str, attributes: Mapping[str, Any]) -> None:
        _describe(self._file.require_group(path) if path else self._file, attributes)

    def array(self, path: str, shape: Sequence[int], dtype: Any, attributes: Mapping[str, Any]) -> Any:
        return self._made(path, shape, dtype, attributes)

    def text(self, path: str, size: int, attributes: Mapping[str, Any]) -> Any:
        return self._made(path, (size,), _TEXT, attributes)

    def value(self, path: str, value: float | str, attributes: Mapping[str, Any]) -> None:
        _describe(self._file.create_dataset(path, data=value), attributes)

    def _made(self, path: str, shape: Sequence[int], dtype: Any, attributes: Mapping[str, Any]) -> Any:
        # HDF5 compresses chunks, which an empty array has none of.
        packing = dict(compression="gzip", compression_opts=1, chunks=True) if min(shape) else {}
        array = self._file.create_dataset(path, shape=tuple(shape), dtype=dtype, **packing)
        _describe(array, attributes)
        return array


def _describe(node: Any, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        # An empty list has no type of its own.
        node.attrs[name] = np.array(value, _TEXT) if isinstance(value, list) else value


def write_anndata(image: FinishedImage, path: pathlib.Path, options: Options) -> None:
    """Writes it atomically; see `write_tree`."""
    del options
    with atomic_write(path) as part, h5py.File(part, "w") as file:
        write_tree(_Hdf5(file), image)
