"""TIFF, OME-TIFF and pyramids of either, by tifffile: large ones by strips, through its Zarr store."""

import dataclasses
import functools
import pathlib
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import tifffile
import zarr

from nucseg_jax.inference.pixels import as_rgb
from nucseg_jax.inference.regular_files import check_named_files
from nucseg_jax.inference.resolution import MICRONS, Resolution, plausible
from nucseg_jax.inference.source import (
    LARGEST_WHOLE_PX,
    RefusedImage,
    Source,
    check_size,
    pyramid_overview,
    whole_source,
)

_COLOURS = ("RGB", "YCBCR", "MINISBLACK", "MINISWHITE")
# Compressions whose decoders give RGB for YCbCr: JPEG's, old and new.
_JPEG = (6, 7, 33007, 34892)
_UPRIGHT = 1
# A tile or strip that is decoded at once.
_LARGEST_SEGMENT_BYTES = 1 << 28

Region = Callable[[int, int, int, int], np.ndarray]


def open_tiff(path: pathlib.Path) -> Source:
    """Opens the first image of a TIFF.

    Raises:
      RefusedImage: a stack, a rotated, paletted or CMYK image, a truncated file, one too large to be decoded whole
        that is not cut into tiles.
      Exception: whatever tifffile raises for a damaged file.
    """
    file = tifffile.TiffFile(path)
    try:
        check_named_files(path, file.ome_metadata or "")
        return _open(file, path.stat().st_size)
    except BaseException:
        file.close()
        raise


def _open(file: tifffile.TiffFile, file_bytes: int) -> Source:
    if not file.series:
        raise RefusedImage("the file holds no image")
    series = file.series[0]
    page = series.keyframe
    _check_page(page)
    height, width = _size(series)
    check_size(height, width)
    _check_complete(series, file_bytes)
    as_rgb(np.zeros((1, 1, _channels(series)), series.dtype))
    levels = [level for level in series.levels[1:] if level.axes == series.axes]
    overview = pyramid_overview([(_size(level), functools.partial(_whole, level)) for level in levels])
    resolution = _resolution(file, page)
    if height * width <= LARGEST_WHOLE_PX:
        whole = whole_source(height, width, resolution, lambda: _upright(series, series.asarray()))
        return dataclasses.replace(whole, read_overview=overview, close=_both(whole.close, file.close))
    read, close = _strip_reader(series)

    def read_rgb(top: int, left: int, rows: int, columns: int) -> np.ndarray:
        return as_rgb(read(top, left, rows, columns))

    return Source(height, width, resolution, read_rgb, overview, _both(close, file.close))


def _whole(level: tifffile.TiffPageSeries) -> np.ndarray:
    return as_rgb(_upright(level, level.asarray()))


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def close() -> None:
        first()
        second()

    return close


def _check_page(page: tifffile.TiffPage) -> None:
    photometric = getattr(page.photometric, "name", str(page.photometric))
    if photometric not in _COLOURS:
        raise RefusedImage(f"the TIFF's colours are {photometric}", expected="RGB or grey")
    if photometric == "YCBCR" and page.compression not in _JPEG:
        raise RefusedImage(
            "the TIFF's colours are YCbCr, and not JPEG-compressed",
            expected="RGB, grey or JPEG",
            advice="save it as RGB",
        )
    orientation = page.tags.valueof("Orientation", _UPRIGHT)
    if orientation != _UPRIGHT:
        raise RefusedImage(
            f"the TIFF is to be turned (orientation {orientation})",
            advice="save it upright: coordinates would lie",
        )


def _size(series: tifffile.TiffPageSeries) -> tuple[int, int]:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    others = {axis: size for axis, size in sizes.items() if axis not in "YXSC" and size != 1}
    if others or "Y" not in sizes or "X" not in sizes or ("S" in sizes and sizes.get("C", 1) != 1):
        raise RefusedImage(
            f"the TIFF is a stack: axes {series.axes}, shape {series.shape}",
            expected="one picture, rows, columns and colours",
        )
    return sizes["Y"], sizes["X"]


def _check_complete(series: tifffile.TiffPageSeries, file_bytes: int) -> None:
    for page in series.pages:
        if page is None:
            continue
        ends = [offset + size for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False)]
        if not ends or max(ends) > file_bytes:
            raise RefusedImage(
                "the file is truncated",
                expected=f"{max(ends, default=0):,} bytes of pixels at least; it has {file_bytes:,} in all",
            )


def _strip_reader(series: tifffile.TiffPageSeries) -> tuple[Region, Callable[[], None]]:
    """Reads [rows, columns, channels] regions of a series without decoding it whole; and what closes it."""
    page = series.keyframe
    # tifffile takes a contiguous image for one piece; it is mapped instead.
    if page.is_memmappable and len(series.pages) == 1:
        mapped = page.asarray(out="memmap")

        def read_mapped(top: int, left: int, height: int, width: int) -> np.ndarray:
            return _upright(series, np.array(mapped[_region(series.axes, top, left, height, width)]))

        return read_mapped, lambda: None
    if np.prod(page.chunks) * page.dtype.itemsize > _LARGEST_SEGMENT_BYTES:
        raise RefusedImage(
            f"the TIFF is compressed in pieces of {' x '.join(map(str, page.chunks))}",
            expected="tiles or strips of at most 256 MiB",
            advice="write it again as a tiled TIFF",
        )
    store = series.aszarr(level=0)
    array = zarr.open_array(store, mode="r")

    def read(top: int, left: int, height: int, width: int) -> np.ndarray:
        return _upright(series, np.asarray(array[_region(series.axes, top, left, height, width)]))

    return read, store.close


def _region(axes: str, top: int, left: int, height: int, width: int) -> tuple[slice, ...]:
    where = {"Y": slice(top, top + height), "X": slice(left, left + width)}
    return tuple(where.get(axis, slice(None)) for axis in axes)


def _channels(series: tifffile.TiffPageSeries) -> int:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return int(sizes.get("S") or sizes.get("C") or 1)


def _upright(series: tifffile.TiffPageSeries, pixels: np.ndarray) -> np.ndarray:
    """[rows, columns, channels], black as 0, of an array with the series' axes; axes of size 1 are dropped."""
    axes = series.axes
    colours = "S" if "S" in axes else "C"
    order = [index for index, axis in enumerate(axes) if axis not in "YX" + colours]
    order += [axes.index(axis) for axis in "YX" + colours if axis in axes]
    height, width = (pixels.shape[axes.index(axis)] for axis in "YX")
    pixels = pixels.transpose(order).reshape(height, width, -1)
    return np.invert(pixels) if series.keyframe.photometric.name == "MINISWHITE" else pixels


def _resolution(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Resolution | None:
    return _of_ome(file) or _of_aperio(page) or _of_tags(file, page)


def _of_ome(file: tifffile.TiffFile) -> Resolution | None:
    if not file.ome_metadata:
        return None
    try:
        root = ET.fromstring(file.ome_metadata)
    except ET.ParseError:
        return None
    pixels = root.find(".//{*}Pixels")
    if pixels is None:
        return None
    try:
        x, y = (
            float(pixels.attrib[f"PhysicalSize{axis}"]) * MICRONS[pixels.get(f"PhysicalSize{axis}Unit", "µm")]
            for axis in "XY"
        )
    except (KeyError, ValueError):
        return None
    return plausible(x, y, "OME metadata")


def _of_aperio(page: tifffile.TiffPage) -> Resolution | None:
    if not page.is_svs:
        return None
    try:
        microns = float(tifffile.svs_description_metadata(page.description)["MPP"])
    except (KeyError, ValueError):
        return None
    return plausible(microns, microns, "Aperio's description")


def _of_tags(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Resolution | None:
    """The tags XResolution and YResolution: pixels per inch or centimetre, or per ImageJ's unit."""
    unit = getattr(page.tags.valueof("ResolutionUnit", 2), "name", "INCH").lower()
    if file.is_imagej and file.imagej_metadata:
        unit = str(file.imagej_metadata.get("unit", unit)).lower().replace("\\u00b5", "µ")
    unit = {"inch": "inch", "centimeter": "cm"}.get(unit, unit)
    try:
        x, y = (
            denominator / numerator * MICRONS[unit]
            for numerator, denominator in (page.tags.valueof(f"{axis}Resolution") for axis in "XY")
        )
    except (KeyError, TypeError, ZeroDivisionError):
        return None
    return plausible(x, y, "TIFF tags")
