"""Whole slides in their scanners' formats, by OpenSlide (the extra `slides`)."""

import functools
import pathlib
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from nucseg_jax.core.counted import counted
from nucseg_jax.images.pixels import as_rgb
from nucseg_jax.images.resolution import Resolution, objective_power, plausible
from nucseg_jax.images.slide_files import check_slide_files, is_one_file
from nucseg_jax.images.source import RefusedImage, Source, check_size, pyramid_overview
from nucseg_jax.images.tiff_scale import aperio_reduction
from nucseg_jax.images.tiff_source import open_tiff

if TYPE_CHECKING:
    import openslide

# OpenSlide's name for a tiled TIFF of no scanner, of which it shows the first picture, whatever its samples mean.
_GENERIC = "generic-tiff"


def open_slide(path: pathlib.Path) -> Source:
    """Opens a slide; what the scanner left out is white. A TIFF of no scanner's is read as if it were named `.tif`.

    Raises:
      RefusedImage: OpenSlide is not installed, or samples of a slide are not 8-bit grey or RGB.
      Exception: whatever OpenSlide raises for a file that it does not know or that is damaged.
    """
    try:
        import openslide
    except ImportError:
        raise RefusedImage(
            "slides need OpenSlide, which is not installed",
            advice="pip install 'nucseg_jax[slides]'",
        ) from None
    check_slide_files(path)
    vendor = openslide.OpenSlide.detect_format(path)
    if vendor == _GENERIC:
        return open_tiff(path)
    if vendor is not None and is_one_file(path):
        _check_samples(path)
    slide = openslide.OpenSlide(path)
    width, height = slide.dimensions
    check_size(height, width)
    if slide.dimensions in slide.level_dimensions[1:]:
        slide.close()
        raise RefusedImage(
            f"the slide holds several pictures of {height:,} x {width:,} px",
            expected="one, and smaller copies",
        )

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
    reduction = aperio_reduction(slide.properties.get(openslide.PROPERTY_NAME_COMMENT, ""), height, width)
    power = objective_power(slide.properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER))
    power = None if power is None else power / reduction
    return Source(
        height,
        width,
        _resolution(slide, reduction),
        read,
        overview,
        slide.close,
        series,
        objective_power=power,
    )


def _check_samples(path: pathlib.Path) -> None:
    """Raises RefusedImage for a rotated TIFF, and for samples that OpenSlide takes for alpha or for 16 bits."""
    with tifffile.TiffFile(path, _multifile=False) as file:
        page = file.pages.first
        if page.bitspersample != 8 or page.samplesperpixel not in (1, 3):
            raise RefusedImage(
                f"the slide has {counted(int(page.samplesperpixel), 'sample')} of {page.bitspersample} bits",
                expected="grey or RGB of 8 bits",
            )
        if page.tags.valueof("Orientation", 1) != 1:
            raise RefusedImage("the slide is to be turned", advice="save it upright: coordinates would lie")


def _resolution(slide: "openslide.OpenSlide", reduction: float) -> Resolution | None:
    import openslide

    try:
        x, y = (
            float(slide.properties[name]) * reduction
            for name in (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y)
        )
    except (KeyError, ValueError):
        return None
    return plausible(x, y, "the slide's properties")
