"""Reads the nuclei of a label file, by the ending of its name."""

import dataclasses
import pathlib
import stat
from collections.abc import Callable

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.labels.geojson import read_geojson
from nucseg_jax.data.labels.imagescope import read_imagescope
from nucseg_jax.data.labels.mat import read_mat
from nucseg_jax.data.labels.npy import read_npy
from nucseg_jax.data.labels.nuclei import Annotation, Drawn
from nucseg_jax.data.labels.png import read_png
from nucseg_jax.data.labels.raster_meaning import LabelKind, RasterKind, raster_annotation
from nucseg_jax.data.labels.tiff import read_tiff
from nucseg_jax.images.open_source import refused
from nucseg_jax.images.reader_warnings import take_warnings
from nucseg_jax.images.regular_files import require_regular

__all__ = ["LABEL_ENDINGS", "Annotation", "Drawn", "LabelKind", "read_annotation"]

# One number for each pixel, whose meaning is `raster_meaning`'s. Longer endings first.
_RASTERS: dict[str, Callable[[pathlib.Path, int, int], np.ndarray]] = {
    ".ome.tiff": read_tiff,
    ".ome.tif": read_tiff,
    ".tiff": read_tiff,
    ".tif": read_tiff,
    ".png": read_png,
    ".npy": read_npy,
}
# Files that state what they hold.
_DESCRIBED: dict[str, Callable[[pathlib.Path, int, int], Annotation]] = {
    ".mat": read_mat,
    ".xml": read_imagescope,
    ".geojson": read_geojson,
    ".json": read_geojson,
}
LABEL_ENDINGS = (*_RASTERS, *_DESCRIBED)


def read_annotation(
    path: pathlib.Path, *, kind: RasterKind = "auto", image_height: int, image_width: int
) -> Annotation:
    """Reads the nuclei that were annotated in an image.

    Args:
      path: a file of one of `LABEL_ENDINGS`.
      kind: of rasters, see `raster_meaning`; other files state what they hold.
      image_height, image_width: of the annotated image, px.

    Raises:
      UserError: the file cannot be read, does not fit the image, or could mean several things; it names the file.
    """
    with refused(path):
        name, status = path.name.lower(), require_regular(path)
        ending = next((each for each in LABEL_ENDINGS if name.endswith(each)), None)
        if ending is None:
            raise UserError(
                "its ending is none that labels have", expected="one of " + ", ".join(LABEL_ENDINGS)
            )
        if not stat.S_ISREG(status.st_mode):
            raise UserError("it is a folder", expected="a file")
        if ending in _RASTERS:
            annotation = raster_annotation(_RASTERS[ending](path, image_height, image_width), kind)
        else:
            annotation = _DESCRIBED[ending](path, image_height, image_width)
    return dataclasses.replace(annotation, notes=(*annotation.notes, *take_warnings(path)))
