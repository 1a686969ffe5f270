"""The meaning of a picture of a TIFF: tags, compressed data and OME-XML together."""

import dataclasses
import math

import tifffile

from nucseg_jax.core.counted import counted
from nucseg_jax.images.channels import colour_positions
from nucseg_jax.images.meaning import CHANNELS, GREY, Header, Meaning, meaning_of
from nucseg_jax.images.ome_xml import OmeImage
from nucseg_jax.images.source import RefusedImage
from nucseg_jax.images.tiff_header import check_layout, tiff_header
from nucseg_jax.images.tiff_pictures import TiffPicture


def picture_meaning(
    picture: TiffPicture, file_bytes: int, ome: OmeImage | None
) -> tuple[Meaning, tuple[str, ...]]:
    """The meaning of the samples of a picture's planes together, and notes; its pages are then ready to be decoded.

    Args:
      picture: of the file.
      file_bytes: length of the file.
      ome: OME-XML's description of the picture, or of the one that it is a copy of.

    Raises:
      RefusedImage: a stack, a rotated or truncated picture, or samples whose meaning is not known.
      ValueError: compressed data that are damaged.
    """
    if ome is not None and picture.ome is ome and ome.stack != (1, 1):
        raise RefusedImage(
            f"the TIFF is a stack: {ome.stack[0]:,} planes in depth, {ome.stack[1]:,} in time",
            expected="one picture",
        )
    for page in picture.pages:
        check_layout(page)
        check_complete(page, file_bytes)
    described = [tiff_header(page) for page in picture.pages]
    header, notes = described[0]
    if len(described) > 1:
        kinds = {(each.dtype, each.samples, each.colours, each.bits, each.highest) for each, _ in described}
        sizes = {(page.imagelength, page.imagewidth) for page in picture.pages}
        if len(kinds) > 1 or len(sizes) > 1 or (header.samples, header.colours) != (1, GREY):
            raise RefusedImage("the channels of the OME-XML lie in directories of different kinds")
        header = dataclasses.replace(header, samples=len(described))
    if ome is not None:
        header = _with_ome(header, ome, picture.pages[0], is_whole=picture.ome is ome)
    meaning = meaning_of(header)
    gaps: int = sum(_fill_gaps(page, meaning) for page in picture.pages)
    if gaps:
        notes = (*notes, f"{gaps:,} of its tiles or strips were not stored, and are white")
    return meaning, notes


def _with_ome(header: Header, ome: OmeImage, page: tifffile.TiffPage, *, is_whole: bool) -> Header:
    """The header with the statements of OME-XML.

    Args:
      header: by the tags, of all planes together.
      ome: the image that it belongs to.
      page: the first one.
      is_whole: it is the image itself and not a smaller level of it.
    """
    dtype = {"bit": "bool"}.get(ome.dtype, ome.dtype)
    tagged = (page.imagelength, page.imagewidth) if is_whole else (ome.height, ome.width)
    per_plane = {page.samplesperpixel, page.samplesperpixel - len(header.extra)}
    if (
        (ome.height, ome.width) != tagged
        or dtype != header.dtype.name
        or ome.samples_per_plane not in per_plane
    ):
        raise RefusedImage(
            f"the OME-XML states {ome.height:,} x {ome.width:,} px, {ome.samples_per_plane} x {dtype}; the TIFF"
            f" {page.imagelength:,} x {page.imagewidth:,} px, {page.samplesperpixel} x {header.dtype.name}"
        )
    bits = 8 * header.dtype.itemsize if header.bits is None else header.bits
    if ome.bits is not None and header.dtype.kind != "b":
        if ome.bits > bits:
            raise RefusedImage(f"the OME-XML states {ome.bits} significant bits, the TIFF {bits}")
        header = dataclasses.replace(header, bits=ome.bits)
    if page.samplesperpixel > 1 and len(ome.channels) == page.samplesperpixel:
        # Each sample is described as a channel: the names must not contradict the tag.
        if colour_positions(len(ome.channels), ome.channels)[0] != tuple(range(len(ome.channels))):
            raise RefusedImage(
                "the OME-XML states other colours for the channels than the TIFF", advice="save it as RGB"
            )
    elif header.colours == GREY and page.samplesperpixel == 1:
        header = dataclasses.replace(header, colours=CHANNELS, channels=ome.channels)
    return header


def check_complete(page: tifffile.TiffPage, file_bytes: int) -> None:
    """Raises RefusedImage for a directory with pixels beyond the end of its file."""
    ends = [offset + size for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if len(ends) < math.prod(page.chunked) or max(ends, default=0) > file_bytes:
        raise RefusedImage(
            "the file is truncated",
            expected=f"{max(ends, default=0):,} bytes of pixels at least; it has {file_bytes:,} in all",
        )


def _fill_gaps(page: tifffile.TiffPage, meaning: Meaning) -> int:
    """Has tiles that the file does not store decoded as white, and counts them."""
    gaps: int = sum(size == 0 for size in page.databytecounts)
    if gaps and (gaps == len(page.databytecounts) or meaning.is_ycbcr or meaning.palette is not None):
        raise RefusedImage(f"{gaps:,} of {counted(len(page.databytecounts), 'tile')} hold no pixels")
    # Scanners leave out what is glass; tifffile would fill in black.
    page.nodata = 0 if meaning.is_inverted else meaning.highest
    return gaps
