"""Zarr: OME-Zarr 0.4 and 0.5, and plain arrays [H, W], [H, W, C] or [C, H, W]."""

import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import zarr

from nucseg_jax.core.counted import counted
from nucseg_jax.inference.pixels import as_rgb
from nucseg_jax.inference.resolution import MICRONS, Resolution, plausible
from nucseg_jax.inference.source import RefusedImage, Source, check_size, pyramid_overview
from nucseg_jax.inference.zarr_bounds import check_chunks

_CHANNELS = (1, 2, 3, 4)


def open_zarr(path: pathlib.Path) -> Source:
    """Opens the first image of an OME-Zarr, or the one array that there is.

    Raises:
      RefusedImage: several arrays and no OME metadata, a stack, or other axes than rows, columns and colours.
      Exception: whatever zarr raises for a damaged store.
    """
    node = zarr.open(str(path), mode="r")
    if isinstance(node, zarr.Array):
        return _source([node], _guessed_axes(node.shape), None)
    # bioformats2raw puts images into numbered groups.
    if "bioformats2raw.layout" in _attributes(node) and "0" in node:
        node = node["0"]
    multiscales = _attributes(node).get("multiscales")
    if multiscales:
        return _open_multiscale(node, multiscales[0])
    arrays = [array for _, array in node.arrays()]
    if len(arrays) != 1:
        raise RefusedImage(
            f"the Zarr group holds {counted(len(arrays), 'array')} and no OME metadata",
            expected="an array, or an OME-Zarr image",
        )
    return _source(arrays, _guessed_axes(arrays[0].shape), None)


def _attributes(node: zarr.Group) -> Mapping[str, Any]:
    """Version 0.5 keeps everything under 'ome', 0.4 at the top."""
    return {**node.attrs, **node.attrs.get("ome", {})}


def _open_multiscale(node: zarr.Group, image: Mapping[str, Any]) -> Source:
    levels = [node[dataset["path"]] for dataset in image["datasets"]]
    described = image.get("axes") or ["t", "c", "z", "y", "x"]
    names = [axis["name"] if isinstance(axis, Mapping) else axis for axis in described]
    resolution = None
    scales = [
        transform["scale"]
        for transform in image["datasets"][0].get("coordinateTransformations", [])
        if transform.get("type") == "scale"
    ]
    if scales and {"x", "y"} <= set(names):
        units = [axis.get("unit", "") if isinstance(axis, Mapping) else "" for axis in described]
        x, y = (
            float(scales[0][names.index(axis)]) * MICRONS.get(units[names.index(axis)], float("nan"))
            for axis in "xy"
        )
        resolution = plausible(x, y, "OME metadata")
    return _source(levels, "".join(names), resolution)


def _guessed_axes(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return "yx"
    if len(shape) == 3 and shape[-1] in _CHANNELS:
        return "yxc"
    if len(shape) == 3 and shape[0] in _CHANNELS:
        return "cyx"
    raise RefusedImage(
        f"the Zarr array has shape {shape}", expected="[H, W], [H, W, C] or [C, H, W], C = 1 to 4"
    )


def _source(levels: list[zarr.Array], axes: str, resolution: Resolution | None) -> Source:
    first = levels[0]
    if len(axes) != first.ndim or not {"x", "y"} <= set(axes):
        raise RefusedImage(f"the Zarr array has axes {axes} and shape {first.shape}")
    stacked = [
        size
        for axis, size in zip(axes, first.shape, strict=True)
        if axis not in ("y", "x", "c") and size != 1
    ]
    if stacked:
        raise RefusedImage(
            f"the Zarr array is a stack: axes {axes}, shape {first.shape}", expected="one picture"
        )
    height, width = _size(first, axes)
    check_size(height, width)
    for level in levels:
        check_chunks(level, axes)

    def read(top: int, left: int, rows: int, columns: int) -> np.ndarray:
        return _read(first, axes, top, left, rows, columns)

    as_rgb(np.zeros((1, 1, first.shape[axes.index("c")] if "c" in axes else 1), first.dtype))

    overview = pyramid_overview(
        [
            (_size(level, axes), functools.partial(_read, level, axes, 0, 0, *_size(level, axes)))
            for level in levels[1:]
        ]
    )
    return Source(height, width, resolution, read, overview)


def _size(array: zarr.Array, axes: str) -> tuple[int, int]:
    return array.shape[axes.index("y")], array.shape[axes.index("x")]


def _read(array: zarr.Array, axes: str, top: int, left: int, height: int, width: int) -> np.ndarray:
    where = {"y": slice(top, top + height), "x": slice(left, left + width), "c": slice(None)}
    region = np.asarray(array[tuple(where.get(axis, 0) for axis in axes)])
    kept = "".join(axis for axis in axes if axis in where)
    if "c" not in kept:
        region, kept = region[..., None], kept + "c"
    return as_rgb(region.transpose([kept.index(axis) for axis in "yxc"]))
