"""Zarr: OME-Zarr 0.1 to 0.5, and plain arrays [H, W], [H, W, 3] or [3, H, W]."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import zarr

from nucseg_jax.core.counted import counted
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.images.channels import Channel
from nucseg_jax.images.main_picture import Picture, main_picture
from nucseg_jax.images.meaning import CHANNELS, RGB, Header, meaning_of
from nucseg_jax.images.ngff import NgffImage, ngff_image
from nucseg_jax.images.ome_xml import OmeImage, ome_images
from nucseg_jax.images.pixels import RgbReader
from nucseg_jax.images.resolution import Resolution
from nucseg_jax.images.source import RefusedImage, Source, check_size, pyramid_overview
from nucseg_jax.images.zarr_axes import check_levels, plain_axes, size_of
from nucseg_jax.images.zarr_bounds import check_chunks

_MOST_IMAGES = 64
_LARGEST_XML_BYTES = 1 << 26
_COMPANIONS = ("label", "macro", "thumbnail", "overview")


def open_zarr(path: pathlib.Path) -> Source:
    """Opens the image of an OME-Zarr, or the one array that there is.

    Raises:
      RefusedImage: several images of equal standing, several arrays and no OME metadata, a stack, other axes than rows,
        columns and colours, channels that are not known to be red, green and blue.
      Exception: whatever zarr raises for a damaged store.
    """
    node = zarr.open(str(path), mode="r")
    if isinstance(node, zarr.Array):
        return _plain(node)
    attributes = _attributes(node)
    # bioformats2raw puts images into numbered groups.
    if "bioformats2raw.layout" in attributes and "0" in node:
        groups = [node[str(index)] for index in range(_MOST_IMAGES) if str(index) in node]
        return _of_images(groups, _described(path / "OME" / "METADATA.ome.xml"))
    if attributes.get("multiscales"):
        return _of_images([node], [])
    arrays = [array for _, array in node.arrays()]
    if len(arrays) != 1:
        raise RefusedImage(
            f"the Zarr group holds {counted(len(arrays), 'array')} and no OME metadata",
            expected="an array, or an OME-Zarr image",
        )
    return _plain(arrays[0])


def _attributes(node: zarr.Array | zarr.Group) -> JsonObject:
    """Version 0.5 keeps everything under 'ome', 0.4 at the top."""
    ome = node.attrs.get("ome", {})
    return {**node.attrs, **(ome if isinstance(ome, Mapping) else {})}


def _described(file: pathlib.Path) -> list[OmeImage]:
    """The images of a bioformats2raw store by its OME-XML, in the order of the groups; empty without that."""
    if not file.is_file():
        return []
    if file.stat().st_size > _LARGEST_XML_BYTES:
        raise RefusedImage(
            f"{file.name} has {file.stat().st_size:,} bytes", expected=f"at most {_LARGEST_XML_BYTES:,}"
        )
    return ome_images(file.read_text(encoding="utf-8"), file.name)


def _of_images(nodes: Sequence[zarr.Array | zarr.Group], described: list[OmeImage]) -> Source:
    """The main one of several images."""
    images = [ngff_image(_attributes(node)) for node in nodes]
    arrays = [
        [_array(node, level.path) for level in image.levels]
        for node, image in zip(nodes, images, strict=True)
    ]
    for image, levels in zip(images, arrays, strict=True):
        check_levels(image.axes, levels)
    pictures = []
    for index, (image, levels) in enumerate(zip(images, arrays, strict=True)):
        largest = max((size_of(level, image.axes) for level in levels), key=lambda size: size[0] * size[1])
        is_companion = image.name.lower().startswith(_COMPANIONS)
        is_companion |= index < len(described) and described[index].is_companion
        is_grey = "c" not in image.axes or levels[0].shape[image.axes.index("c")] == 1
        pictures.append(Picture(*largest, is_companion=is_companion, is_grey=is_grey))
    choice = main_picture(pictures)
    image = images[choice.main]
    notes = image.notes
    if len(images) > 1:
        notes = (
            *notes,
            f"{counted(len(images) - 1, 'other image')} of the group not used (labels, thumbnails)",
        )
    source_of = functools.partial(_of_levels, image, arrays[choice.main], notes)
    if choice.main >= len(described):
        return source_of(None)
    ome = described[choice.main]
    source = source_of(ome.bits)
    if (ome.height, ome.width) != (source.height, source.width):
        raise RefusedImage(
            f"the OME-XML of the group tells of {ome.height:,} x {ome.width:,} px, the array has"
            f" {source.height:,} x {source.width:,} px"
        )
    return dataclasses.replace(
        source, resolution=source.resolution or ome.resolution, objective_power=ome.objective_power
    )


def _array(node: zarr.Array | zarr.Group, path: str) -> zarr.Array:
    found = node[path] if isinstance(node, zarr.Group) else None
    if not isinstance(found, zarr.Array):
        raise RefusedImage(f"the level {path[:200]} of the OME-Zarr is no array")
    return found


def _of_levels(
    image: NgffImage, levels: list[zarr.Array], notes: tuple[str, ...], bits: int | None
) -> Source:
    """The largest level, with smaller ones as overview, whatever their order."""
    sizes = [size_of(level, image.axes) for level in levels]
    largest = max(range(len(sizes)), key=lambda index: (sizes[index][0] * sizes[index][1], -index))
    choice = main_picture([Picture(*size, is_reduced=index != largest) for index, size in enumerate(sizes)])
    return _source(
        levels[choice.main],
        [levels[index] for index in choice.copies],
        image.axes,
        image.levels[choice.main].resolution,
        image.channels,
        notes,
        None if bits is not None else image.highest,
        bits,
    )


def _plain(array: zarr.Array) -> Source:
    return _source(array, [], plain_axes(array), None, (), ())


def _source(
    array: zarr.Array,
    copies: list[zarr.Array],
    axes: str,
    resolution: Resolution | None,
    channels: tuple[Channel, ...],
    notes: tuple[str, ...],
    highest: int | None = None,
    bits: int | None = None,
) -> Source:
    height, width = size_of(array, axes)
    stacked = [
        size
        for axis, size in zip(axes, array.shape, strict=True)
        if axis not in ("y", "x", "c") and size != 1
    ]
    if stacked:
        raise RefusedImage(
            f"the Zarr array is a stack: axes {axes}, shape {array.shape}", expected="one picture"
        )
    check_size(height, width)
    samples = array.shape[axes.index("c")] if "c" in axes else 1
    # Colours side by side in memory are what every library means by [H, W, 3].
    is_rgb = samples == 3 and axes.endswith("c") and not channels
    dtype = np.dtype(array.dtype)
    highest = highest if dtype.itemsize == 2 else None
    header = Header(
        dtype, samples, RGB if is_rgb else CHANNELS, bits=bits, highest=highest, channels=channels
    )
    reader = RgbReader(meaning_of(header))
    for level in (array, *copies):
        check_chunks(level, axes)

    def read(top: int, left: int, rows: int, columns: int) -> np.ndarray:
        return reader(_read(array, axes, top, left, rows, columns))

    def read_level(level: zarr.Array) -> np.ndarray:
        return reader(_read(level, axes, 0, 0, *size_of(level, axes)))

    overview = pyramid_overview(
        [(size_of(level, axes), functools.partial(read_level, level)) for level in copies]
    )
    return Source(height, width, resolution, read, overview, notes=lambda: (*notes, *reader.notes()))


def _read(array: zarr.Array, axes: str, top: int, left: int, height: int, width: int) -> np.ndarray:
    where = {"y": slice(top, top + height), "x": slice(left, left + width), "c": slice(None)}
    region = np.asarray(array[tuple(where.get(axis, 0) for axis in axes)])
    kept = "".join(axis for axis in axes if axis in where)
    if "c" not in kept:
        region, kept = region[..., None], kept + "c"
    return region.transpose([kept.index(axis) for axis in "yxc"])
