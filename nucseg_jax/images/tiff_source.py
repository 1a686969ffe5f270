"""TIFF, OME-TIFF and pyramids of either, by tifffile: large ones by strips, through its Zarr store."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable

import numpy as np
import tifffile
import zarr

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.images.main_picture import main_picture
from nucseg_jax.images.meaning import Meaning
from nucseg_jax.images.ome_xml import OmeImage
from nucseg_jax.images.pixels import RgbReader
from nucseg_jax.images.source import (
    LARGEST_WHOLE_PX,
    RefusedImage,
    Source,
    check_size,
    pyramid_overview,
    whole_source,
)
from nucseg_jax.images.tiff_meaning import picture_meaning
from nucseg_jax.images.tiff_pictures import Pages, TiffPicture, is_mask, tiff_pictures
from nucseg_jax.images.tiff_scale import tiff_scale
from nucseg_jax.images.tiff_segment import check_segment_bytes

Region = Callable[[int, int, int, int], np.ndarray]


def open_tiff(path: pathlib.Path) -> Source:
    """Opens the picture of a TIFF: the largest one that is not marked as something else (`main_picture`).

    Raises:
      RefusedImage: several pictures of equal standing, a stack, a part of a set of files, samples whose meaning is not
        known (`meaning.meaning_of`), a rotated or truncated file, one too large to be decoded whole that is not cut
        into tiles.
      Exception: whatever tifffile raises for a damaged file.
    """
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        # Files that OME-XML names are never followed.
        file = stack.enter_context(tifffile.TiffFile(path, _multifile=False))
        source = _open(file, path, notes)
        stack.pop_all()
        return source


def _open(file: tifffile.TiffFile, path: pathlib.Path, notes: list[str]) -> Source:
    found = tiff_pictures(file, path.name)
    choice = main_picture([each.shown for each in found])
    main = found[choice.main]
    if main.ome is None and any(each.ome for each in found):
        raise RefusedImage(
            "the OME-XML does not describe the largest picture of the file", advice="save it again"
        )
    unmarked = [
        each
        for index in choice.others
        if not (each := found[index].shown).is_companion and not each.is_reduced
    ]
    if unmarked:
        sizes = ", ".join(f"{each.height:,} x {each.width:,} px" for each in unmarked[:3])
        notes.append(f"{counted(len(unmarked), 'smaller picture')} of the file not used ({sizes})")
    if any(is_mask(page) for each in found for page in each.pages):
        notes.append("the file holds a mask of transparent pixels, which is not applied")
    height, width = main.shown.height, main.shown.width
    check_size(height, width)
    meaning, its_notes = picture_meaning(main, path.stat().st_size, main.ome)
    notes += its_notes
    reader = RgbReader(meaning)
    resolution, power = tiff_scale(file, main)
    copies = [found[index] for index in choice.copies if _is_level(found[index], main)]
    overview = _overview(copies, path.stat().st_size, main.ome, meaning)
    if height * width <= LARGEST_WHOLE_PX:

        def decode() -> np.ndarray:
            return reader(_whole(main.pages))

        source = whole_source(height, width, resolution, decode)
        source = dataclasses.replace(source, read_overview=overview)
    else:
        planes = [_strip_reader(page) for page in main.pages]

        def read(top: int, left: int, rows: int, columns: int) -> np.ndarray:
            return reader(_side_by_side([read_plane(top, left, rows, columns) for read_plane, _ in planes]))

        source = Source(height, width, resolution, read, overview, _all_of([close for _, close in planes]))
    return dataclasses.replace(
        source,
        close=_all_of([source.close, file.close]),
        objective_power=power,
        notes=lambda: (*notes, *reader.notes()),
    )


def _is_level(copy: TiffPicture, main: TiffPicture) -> bool:
    """Returns True if a picture of the same shape is sure to be a copy: it is marked, or tiled as the image is."""
    page, whole = copy.pages[0], main.pages[0]
    return copy.shown.is_reduced or (page.is_tiled and page.chunks == whole.chunks)


def _all_of(closers: list[Callable[[], None]]) -> Callable[[], None]:
    def close() -> None:
        for each in closers:
            each()

    return close


def _overview(
    copies: list[TiffPicture], file_bytes: int, ome: OmeImage | None, main: Meaning
) -> Callable[[int], np.ndarray] | None:
    levels = []
    for copy in copies:
        # A level that is not understood is not needed.
        with contextlib.suppress(UserError, ValueError):
            meaning, _ = picture_meaning(copy, file_bytes, ome)
            if meaning.dtype != main.dtype or meaning.highest == main.highest:
                size = (copy.shown.height, copy.shown.width)
                levels.append((size, functools.partial(_read_level, copy.pages, RgbReader(meaning))))
    return pyramid_overview(levels)


def _read_level(pages: Pages, reader: RgbReader) -> np.ndarray:
    return reader(_whole(pages))


def _whole(pages: Pages) -> np.ndarray:
    return _side_by_side([_samples_last(page, page.asarray()) for page in pages])


def _side_by_side(planes: list[np.ndarray]) -> np.ndarray:
    return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=-1)


def _strip_reader(page: tifffile.TiffPage) -> tuple[Region, Callable[[], None]]:
    """Reads [rows, columns, samples] regions of a page without decoding it whole; and what closes it."""
    # tifffile takes a contiguous image for one piece; it is mapped instead.
    if page.is_memmappable:
        mapped = page.asarray(out="memmap")

        def read_mapped(top: int, left: int, height: int, width: int) -> np.ndarray:
            return _samples_last(page, np.array(mapped[_region(page.axes, top, left, height, width)]))

        return read_mapped, lambda: None
    check_segment_bytes(page)
    store = page.aszarr(fillvalue=page.nodata)
    array = zarr.open_array(store, mode="r")

    def read(top: int, left: int, height: int, width: int) -> np.ndarray:
        return _samples_last(page, np.asarray(array[_region(page.axes, top, left, height, width)]))

    return read, store.close


def _region(axes: str, top: int, left: int, height: int, width: int) -> tuple[slice, ...]:
    where = {"Y": slice(top, top + height), "X": slice(left, left + width)}
    return tuple(where.get(axis, slice(None)) for axis in axes)


def _samples_last(page: tifffile.TiffPage, pixels: np.ndarray) -> np.ndarray:
    """[rows, columns, samples] of pixels with the page's axes."""
    if page.axes == "YX":
        return pixels[..., None]
    return np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels
