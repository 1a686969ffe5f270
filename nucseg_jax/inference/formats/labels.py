"""Label image: each pixel has the number of its nucleus, 0 = background; a tiled, pyramidal OME-TIFF."""

import pathlib
from collections.abc import Iterator

import numpy as np
import zarr

from nucseg_jax.core.files import atomic_write
from nucseg_jax.inference.formats.finished_image import NUCLEUS, FinishedImage
from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.output.tiff_pyramid import SMALLEST_LEVEL_PX, TILE_PX, tiles_of, write_pyramid


def write_labels(image: FinishedImage, path: pathlib.Path, options: Options) -> None:
    """Writes uint16 numbers where they fit, else uint32; smaller levels have every second pixel of the one before."""
    del options
    numbers = image.map(NUCLEUS)
    levels = []
    step = 1
    while True:
        shape = (-(-image.height // step), -(-image.width // step))
        levels.append((shape, _tiles(image, numbers, step)))
        if max(shape) <= SMALLEST_LEVEL_PX:
            break
        step *= 2
    with atomic_write(path) as part:
        write_pyramid(part, levels, dtype=image.label_dtype, microns_per_px=image.microns_per_px)


def _tiles(image: FinishedImage, numbers: zarr.Array, step: int) -> Iterator[np.ndarray]:
    """Reads a band of a level at a time: of the first level whole rows, of others every `step`-th pixel."""
    for top in range(0, numbers.shape[0], step * TILE_PX):
        rows = np.asarray(numbers[top : top + step * TILE_PX : step, ::step])
        yield from tiles_of(image.labels(rows))
