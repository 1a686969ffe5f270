"""The image with the outlines of its nuclei, small enough to look at."""

import pathlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

from nucseg_jax.core.files import atomic_write
from nucseg_jax.inference.nuclei.geojson import Color
from nucseg_jax.inference.nuclei.measure import Table
from nucseg_jax.inference.tiling.tissue import averaged

# Longest side of an overlay; larger images are averaged down by a whole factor.
LARGEST_PX = 4096
_WHITE = 255
# Of zlib: a third of the time of the default, files a tenth larger.
_QUICK = 1


class Overlay:
    """A picture that is drawn band by band.

    Args:
      height, width: of the image.
      colors: of classes, by the names in tables of nuclei; at most 255.
      largest_px: longest side of the picture.
    """

    def __init__(self, height: int, width: int, colors: Mapping[str, Color], *, largest_px: int = LARGEST_PX):
        self._number = {name: number for number, name in enumerate(colors, start=1)}
        self._colors: np.ndarray = np.array(list(colors.values()), np.uint8)
        self._factor = -(-max(height, width) // largest_px)
        size = -(-height // self._factor), -(-width // self._factor)
        self._picture: np.ndarray = np.full((*size, 3), _WHITE, np.uint8)
        # 0 = no line, else the number of a colour, from 1.
        self._lines: np.ndarray = np.zeros(size, np.uint8)
        self._waiting: np.ndarray = np.zeros((0, width, 3), np.uint8)
        self._row = 0

    def add_image(self, band: np.ndarray) -> None:
        """Takes the next rows of the image, uint8 [h, W, 3]."""
        band = np.concatenate([self._waiting, band])
        whole = len(band) // self._factor * self._factor
        self._draw(band[:whole])
        self._waiting = band[whole:].copy()

    def _draw(self, band: np.ndarray) -> None:
        if len(band):
            rows = averaged(band, self._factor)
            self._picture[self._row : self._row + len(rows)] = rows
            self._row += len(rows)

    def add_nuclei(self, nuclei: np.ndarray, table: Table, *, first: int, top: int) -> None:
        """Takes the nuclei of a window; arguments as in `measure.measure_nuclei`."""
        if not len(table["class"]):
            return
        color = np.array([self._number[name] for name in table["class"]], np.uint8)
        rows, columns = np.nonzero(rims(nuclei))
        drawn = color[nuclei[rows, columns].astype(np.int64) - first]
        self._lines[(rows + top) // self._factor, columns // self._factor] = drawn

    def image(self) -> np.ndarray:
        """The image without outlines, uint8 [h, w, 3], when all has been added; `picture` draws into it."""
        self._draw(self._waiting)
        self._waiting = self._waiting[:0]
        return self._picture

    def picture(self) -> np.ndarray:
        """The image with outlines, uint8 [h, w, 3], when all has been added."""
        self.image()
        is_line = self._lines > 0
        self._picture[is_line] = self._colors[self._lines[is_line] - 1]
        return self._picture


def rims(nuclei: np.ndarray) -> np.ndarray:
    """Bool [H, W]: pixels of a nucleus, uint32 [H, W], beside another one or background; the image's edge is none."""
    differs = np.zeros(nuclei.shape, bool)
    below = nuclei[1:] != nuclei[:-1]
    beside = nuclei[:, 1:] != nuclei[:, :-1]
    differs[1:] |= below
    differs[:-1] |= below
    differs[:, 1:] |= beside
    differs[:, :-1] |= beside
    return differs & (nuclei > 0)


def save_overlay(path: pathlib.Path, picture: np.ndarray) -> None:
    """Writes a picture, uint8 [h, w, 3], as PNG, atomically."""
    with atomic_write(path) as part:
        Image.fromarray(picture).save(part, format="PNG", compress_level=_QUICK)
