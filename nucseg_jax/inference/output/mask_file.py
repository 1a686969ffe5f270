"""The mask of all nuclei as a file: PNG, or a tiled, pyramidal OME-TIFF where a PNG would be too large to open."""

import pathlib
from collections.abc import Iterator

import numpy as np
import zarr
from PIL import Image

from nucseg_jax.core.files import atomic_write
from nucseg_jax.images.resolution import MICRONS
from nucseg_jax.images.source import LARGEST_WHOLE_PX
from nucseg_jax.inference.output.tiff_pyramid import SMALLEST_LEVEL_PX, TILE_PX, tiles_of, write_pyramid

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
    mask = np.concatenate([_mask(rows) for _, rows in _bands(nuclei, TILE_PX)])
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
    while max(levels[-1].shape) > SMALLEST_LEVEL_PX:
        levels.append(_halved(levels[-1], scratch, f"mask_{len(levels)}"))
    with atomic_write(path) as part:
        write_pyramid(
            part,
            [(level.shape, _tiles(level)) for level in levels],
            dtype=np.uint8,
            microns_per_px=microns_per_px,
        )
    for number in range(1, len(levels)):
        del scratch[f"mask_{number}"]


def _halved(level: zarr.Array, scratch: zarr.Group, name: str) -> zarr.Array:
    height, width = (-(-size // 2) for size in level.shape)
    half = scratch.create_array(
        name, shape=(height, width), chunks=(TILE_PX, 4 * TILE_PX), dtype=np.uint8, overwrite=True
    )
    for top, rows in _bands(level, 2 * TILE_PX):
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
    for _, rows in _bands(level, TILE_PX):
        yield from tiles_of(_mask(rows))
