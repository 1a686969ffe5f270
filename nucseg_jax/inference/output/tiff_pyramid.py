"""A tiled, pyramidal OME-TIFF of one channel, written tile by tile."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tifffile

from nucseg_jax.images.resolution import MICRONS

TILE_PX = 512
# The smallest level of a pyramid fits a screen.
SMALLEST_LEVEL_PX = 1024


def write_pyramid(
    path: pathlib.Path,
    levels: Sequence[tuple[tuple[int, ...], Iterator[np.ndarray]]],
    *,
    dtype: Any,
    microns_per_px: float,
) -> None:
    """Writes levels of one image, each half as large as the one before, with their pixel sizes.

    Args:
      path: the file, not written atomically.
      levels: shape [H, W] of each, and its tiles as `tiles_of` gives them.
      dtype: of the pixels.
      microns_per_px: of the first level.
    """
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as writer:
        for number, (shape, tiles) in enumerate(levels):
            microns = microns_per_px * 2**number
            about = {
                "axes": "YX",
                "PhysicalSizeX": microns,
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": microns,
                "PhysicalSizeYUnit": "µm",
            }
            writer.write(
                tiles,
                shape=shape,
                dtype=dtype,
                tile=(TILE_PX, TILE_PX),
                compression="zlib",
                photometric="minisblack",
                resolution=(MICRONS["cm"] / microns, MICRONS["cm"] / microns),
                resolutionunit="CENTIMETER",
                **(dict(subifds=len(levels) - 1, metadata=about) if number == 0 else dict(subfiletype=1)),
            )


def tiles_of(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Cuts at most `TILE_PX` rows [h, W] into tiles, zeros beyond the edges; tifffile takes whole tiles only."""
    missing = -rows.shape[1] % TILE_PX
    rows = np.pad(rows, ((0, TILE_PX - len(rows)), (0, missing)))
    for left in range(0, rows.shape[1], TILE_PX):
        yield np.ascontiguousarray(rows[:, left : left + TILE_PX])
