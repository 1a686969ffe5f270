"""Multiscale images of OME-NGFF (https://ngff.openmicroscopy.org), written in bands of rows.

Axes are y and x. A pixel's place is that of its centre, and the centre of the first one is the origin.
"""

from collections.abc import Callable
from typing import Any

import numcodecs
import numpy as np
import zarr

from nucseg_jax.inference.output.tiff_pyramid import SMALLEST_LEVEL_PX

CHUNK_PX = 512
AXES = ("y", "x")
# Of rows [h, W] of an image.
Change = Callable[[np.ndarray], np.ndarray]


def every_second(rows: np.ndarray) -> np.ndarray:
    """Returns every second pixel, from the first on: numbers of nuclei have no mean."""
    return rows[::2, ::2]


def mean_of_four(rows: np.ndarray) -> np.ndarray:
    """Returns rounded means of squares of two pixels a side, uint8; beyond an odd edge the last row or column again."""
    rows = np.pad(rows, [(0, size % 2) for size in rows.shape], mode="edge").astype(np.uint16)
    sums = rows[::2, ::2] + rows[::2, 1::2] + rows[1::2, ::2] + rows[1::2, 1::2]
    return ((sums + 2) // 4).astype(np.uint8)


def write_levels(
    group: zarr.Group,
    source: zarr.Array,
    *,
    dtype: Any,
    px: float,
    halve: Change,
    convert: Change = np.asarray,
) -> list[dict[str, Any]]:
    """Writes an image and its smaller copies as arrays '0', '1', ... of a group.

    Args:
      group: holds no such arrays.
      source: [H, W].
      dtype: of the levels.
      px: length of a pixel's side, in the unit of the axes.
      halve: makes rows of the next level from those of one, an even number of them but at its end: `every_second` or
        `mean_of_four`.
      convert: makes rows of `dtype` from those of the source.

    Returns:
      `datasets` of the metadata.
    """
    level = _level(group, 0, source.shape, dtype)
    datasets = [_dataset(0, px, halve)]
    for top in range(0, source.shape[0], CHUNK_PX):
        level[top : top + CHUNK_PX] = convert(np.asarray(source[top : top + CHUNK_PX]))
    while max(level.shape) > SMALLEST_LEVEL_PX:
        number, (height, width) = len(datasets), level.shape
        smaller = _level(group, number, (-(-height // 2), -(-width // 2)), dtype)
        for top in range(0, smaller.shape[0], CHUNK_PX):
            smaller[top : top + CHUNK_PX] = halve(np.asarray(level[2 * top : 2 * (top + CHUNK_PX)]))
        datasets.append(_dataset(number, px, halve))
        level = smaller
    return datasets


def _level(group: zarr.Group, number: int, shape: tuple[int, ...], dtype: Any) -> zarr.Array:
    options: dict[str, Any] = (
        # Every reader of Zarr 2 has this compressor.
        dict(
            compressors=numcodecs.Zlib(level=1),
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
        if group.metadata.zarr_format == 2
        else dict(dimension_names=AXES)
    )
    chunks = tuple(min(CHUNK_PX, size) for size in shape)
    return group.create_array(str(number), shape=shape, chunks=chunks, dtype=dtype, fill_value=0, **options)


def _dataset(number: int, px: float, halve: Change) -> dict[str, Any]:
    """Returns scale and, where the first pixel is the mean of several, the place of its centre."""
    transformations: list[dict[str, Any]] = [{"type": "scale", "scale": [px * 2**number] * 2}]
    if number and halve is mean_of_four:
        transformations.append({"type": "translation", "translation": [px * (2**number - 1) / 2] * 2})
    return {"path": str(number), "coordinateTransformations": transformations}
