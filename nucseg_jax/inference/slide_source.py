"""Whole slides in their scanners' formats, by OpenSlide (the extra `slides`)."""

import functools
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from nucseg_jax.inference.pixels import as_rgb
from nucseg_jax.inference.resolution import Resolution, plausible
from nucseg_jax.inference.slide_files import check_slide_files
from nucseg_jax.inference.source import RefusedImage, Source, check_size, pyramid_overview

if TYPE_CHECKING:
    import openslide


def open_slide(path: pathlib.Path) -> Source:
    """Opens a slide; what the scanner left out is white.

    Raises:
      RefusedImage: OpenSlide is not installed.
      Exception: whatever OpenSlide raises for a file that it does not know or that is damaged.
    """
    try:
        import openslide
    except ImportError:
        raise RefusedImage(
            "slides need OpenSlide, which is not installed",
            advice="python -m pip install openslide-python openslide-bin",
        ) from None
    check_slide_files(path)
    slide = openslide.OpenSlide(path)
    width, height = slide.dimensions
    check_size(height, width)

    def read(top: int, left: int, rows: int, columns: int) -> np.ndarray:
        return as_rgb(np.asarray(slide.read_region((left, top), 0, (columns, rows))))

    def read_level(level: int) -> np.ndarray:
        return as_rgb(np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level])))

    overview = pyramid_overview(
        [
            ((rows, columns), functools.partial(read_level, level))
            for level, (columns, rows) in enumerate(slide.level_dimensions)
            if level > 0
        ]
    )
    series = slide.properties.get("dicom.SeriesInstanceUID")
    return Source(height, width, _resolution(slide), read, overview, slide.close, series)


def _resolution(slide: "openslide.OpenSlide") -> Resolution | None:
    import openslide

    try:
        x, y = (
            float(slide.properties[name])
            for name in (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y)
        )
    except (KeyError, ValueError):
        return None
    return plausible(x, y, "the slide's properties")
