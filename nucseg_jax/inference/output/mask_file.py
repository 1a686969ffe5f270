"""The mask of all nuclei as a file: PNG, or a tiled, pyramidal OME-TIFF where a PNG would be too large to open."""

import pathlib
from collections.abc import Iterator

import numpy as np
import tifffile
import zarr
from PIL import Image

from nucseg_jax.core.files import atomic_write
from nucseg_jax.images.resolution import MICRONS
from nucseg_jax.images.source import LARGEST_WHOLE_PX

_TILE_PX = 512
# The smallest level of a pyramid fits a screen.
_SMALLEST_LEVEL_PX = 1024
NUCLEUS = 255


def is_small(height: int, width: int) -> bool:
    """Returns True if an image gets a PNG."""
    return height * width <= LARGEST_WHOLE_PX


def write_png_mask(path: pathlib.Path, nuclei: zarr.Array, microns_per_px: float) -> None:
    """Writes 0 background, 255 nucleus, atomically, with the resolution in dots an inch.

    Args:
      path: `*.png`.
      nuclei: uint32 [H, W], numbers of nuclei.
      microns_per_px: of the image.
    """
    mask = np.concatenate([_mask(rows) for _, rows in _bands(nuclei, _TILE_PX)])
    dots = MICRONS["inch"] / microns_per_px
    with atomic_write(path) as part:
        Image.fromarray(mask).save(part, format="PNG", dpi=(dots, dots))


def write_tiff_mask(
    path: pathlib.Path, nuclei: zarr.Array, microns_per_px: float, scratch: zarr.Group
) -> None:
    """Writes 0 background, 255 nucleus as a pyramid of halves, atomically; a pixel of a half is nucleus if any of its
    four is.

    Args:
      path: `*.ome.tif`.
      nuclei: uint32 [H, W], numbers of nuclei.
      microns_per_px: of the image.
      scratch: smaller levels are kept here while they are made, and taken away again.
    """
    levels = [nuclei]
    while max(levels[-1].shape) > _SMALLEST_LEVEL_PX:
        levels.append(_halved(levels[-1], scratch, f"mask_{len(levels)}"))
    options = dict(tile=(_TILE_PX, _TILE_PX), compression="zlib", photometric="minisblack", dtype=np.uint8)
    with atomic_write(path) as part, tifffile.TiffWriter(part, bigtiff=True, ome=True) as writer:
        for number, level in enumerate(levels):
            microns = microns_per_px * 2**number
            about = {
                "axes": "YX",
                "PhysicalSizeX": microns,
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": microns,
                "PhysicalSizeYUnit": "µm",
            }
            writer.write(
                _tiles(level),
                shape=level.shape,
                resolution=(MICRONS["cm"] / microns, MICRONS["cm"] / microns),
                resolutionunit="CENTIMETER",
                **(dict(subifds=len(levels) - 1, metadata=about) if number == 0 else dict(subfiletype=1)),
                **options,
            )
    for number in range(1, len(levels)):
        del scratch[f"mask_{number}"]


def _halved(level: zarr.Array, scratch: zarr.Group, name: str) -> zarr.Array:
    height, width = (-(-size // 2) for size in level.shape)
    half = scratch.create_array(
        name, shape=(height, width), chunks=(_TILE_PX, 4 * _TILE_PX), dtype=np.uint8, overwrite=True
    )
    for top, rows in _bands(level, 2 * _TILE_PX):
        mask = _mask(rows)
        mask = np.maximum.reduceat(mask, np.arange(0, mask.shape[0], 2), axis=0)
        mask = np.maximum.reduceat(mask, np.arange(0, mask.shape[1], 2), axis=1)
        half[top // 2 : top // 2 + len(mask)] = mask
    return half


def _bands(array: zarr.Array, rows: int) -> Iterator[tuple[int, np.ndarray]]:
    for top in range(0, array.shape[0], rows):
        yield top, np.asarray(array[top : top + rows])


def _mask(numbers: np.ndarray) -> np.ndarray:
    return np.where(numbers > 0, np.uint8(NUCLEUS), np.uint8(0))


def _tiles(level: zarr.Array) -> Iterator[np.ndarray]:
    """Row by row; tifffile takes whole tiles only."""
    for _, rows in _bands(level, _TILE_PX):
        mask = _mask(rows)
        missing = -np.array(mask.shape) % _TILE_PX
        mask = np.pad(mask, ((0, _TILE_PX - len(mask)), (0, missing[1])))
        for left in range(0, mask.shape[1], _TILE_PX):
            yield np.ascontiguousarray(mask[:, left : left + _TILE_PX])
