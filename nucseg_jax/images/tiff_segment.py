"""The compressed tiles and strips of a TIFF directory, and the shape of the picture in them."""

import math

import imagecodecs
import tifffile

from nucseg_jax.core.counted import counted
from nucseg_jax.images.source import RefusedImage

# Enough for the markers before the first pixels, tables and colour profiles included.
_HEAD_BYTES = 1 << 20
_WEBP = {50001}
_LARGEST_SEGMENT_BYTES = 1 << 28


def first_segment(page: tifffile.TiffPage, most: int = _HEAD_BYTES) -> bytes | None:
    """Returns the head of the first strip or tile that is not empty, at most this many bytes."""
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False):
        if size:
            handle = page.parent.filehandle
            handle.seek(offset)
            head: bytes = handle.read(min(size, most))
            return head
    return None


def check_segment_bytes(page: tifffile.TiffPage) -> None:
    """Raises RefusedImage for tiles or strips that are too large to be decoded; each is, as one piece."""
    if math.prod(page.chunks) * page.dtype.itemsize > _LARGEST_SEGMENT_BYTES:
        raise RefusedImage(
            f"the TIFF is compressed in pieces of {' x '.join(map(str, page.chunks))}",
            expected="tiles or strips of at most 256 MiB",
            advice="write it again as a tiled TIFF",
        )


def check_shape(page: tifffile.TiffPage, height: int, width: int, samples: int) -> None:
    """Raises RefusedImage where compressed data hold a picture of another shape than a tile or strip.

    tifffile takes such samples in their order, which shears the picture.

    Args:
      page: the directory.
      height, width, samples: of the picture in the data.
    """
    if page.is_tiled:
        # Tiles at the edges may be cut off.
        fits = height in _sides(page.tilelength, page.imagelength)
        fits &= width in _sides(page.tilewidth, page.imagewidth)
        stated = f"tiles of {page.tilelength:,} x {page.tilewidth:,}"
    else:
        # Rows after the last one are not used.
        fits = width == page.imagewidth
        stated = f"strips of a width of {page.imagewidth:,}"
    in_segment = page.samplesperpixel if page.planarconfig == 1 else 1
    if not fits or samples != in_segment:
        raise RefusedImage(
            f"the TIFF states {stated} px and {counted(in_segment, 'sample')}; the data in them are"
            f" {height:,} x {width:,} px and {counted(samples, 'sample')}",
            advice="save the image again",
        )


def check_decoded_shape(page: tifffile.TiffPage) -> None:
    """`check_shape` for WebP and JPEG XL, which are decoded for that."""
    data = first_segment(page, max(page.databytecounts, default=0))
    if data is not None:
        decode = imagecodecs.webp_decode if page.compression in _WEBP else imagecodecs.jpegxl_decode
        shape = decode(data).shape
        check_shape(page, shape[0], shape[1], shape[2] if len(shape) > 2 else 1)


def _sides(whole: int, image: int) -> set[int]:
    return {whole, image % whole or whole}
