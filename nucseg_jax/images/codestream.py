"""Statements of JPEG and JPEG 2000 data about their own size, colours and bits."""

import struct
from typing import NamedTuple

_SOI, _SOS, _EOI = 0xD8, 0xDA, 0xD9
_JFIF, _ADOBE = 0xE0, 0xEE
# Frames; the others of C0 to CF are tables.
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SIZ, _COD = 0x51, 0x52


class Jpeg(NamedTuple):
    """The frame of JPEG data.

    Attributes:
      height, width: px.
      components: how many.
      colours: of three components: 'YCbCr', 'RGB', or None where the data do not state them.
    """

    height: int
    width: int
    components: int
    colours: str | None


def jpeg_header(data: bytes) -> Jpeg:
    """Reads the markers in front of the pixels.

    JFIF means YCbCr; Adobe's marker states it; components called R, G and B are RGB; chroma of fewer samples than the
    first component is YCbCr (T.871, and libjpeg's `default_decompress_parms`).

    Raises:
      ValueError: no JPEG data.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("the JPEG data do not begin with a start marker")
    is_jfif, adobe, at = False, None, 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise ValueError("the JPEG data are damaged: no marker")
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= _SOI:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in (_SOS, _EOI):
            break
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if marker == _JFIF and body[:5] == b"JFIF\0":
            is_jfif = True
        elif marker == _ADOBE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker in _SOF:
            if len(body) < 6 or len(body) < 6 + 3 * body[5]:
                raise ValueError("the JPEG frame is damaged")
            height, width = struct.unpack_from(">HH", body, 1)
            return Jpeg(height, width, body[5], _colours(body, is_jfif=is_jfif, adobe=adobe))
        at += 2 + length
    raise ValueError("the JPEG data have no frame")


def _colours(body: bytes, *, is_jfif: bool, adobe: int | None) -> str | None:
    components = [body[6 + 3 * index : 9 + 3 * index] for index in range(body[5])]
    if len(components) != 3:
        return None
    if is_jfif:
        return "YCbCr"
    if adobe is not None:
        return "YCbCr" if adobe == 1 else "RGB"
    if bytes(component[0] for component in components) == b"RGB":
        return "RGB"
    return "YCbCr" if len({component[1] for component in components}) > 1 else None


class Jpeg2000(NamedTuple):
    """The header of a JPEG 2000 codestream (ISO 15444-1, A.5.1 and A.6.1).

    Attributes:
      height, width: px.
      bits: of each component.
      is_signed: some component is.
      is_subsampled: some component has fewer samples than the image pixels.
      is_transformed: the codestream holds a colour transform of RGB, undone by the decoder.
    """

    height: int
    width: int
    bits: tuple[int, ...]
    is_signed: bool
    is_subsampled: bool
    is_transformed: bool


def jpeg2000_header(data: bytes) -> Jpeg2000:
    """Reads the header of a codestream, bare or in a JP2 file.

    Raises:
      ValueError: it is none.
    """
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or (start > 0 and data[4:8] != b"jP  "):
        raise ValueError("the JPEG 2000 data have no header")
    at, components, is_transformed = start + 2, b"", False
    right = bottom = left = top = 0
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0x90:
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if data[at + 1] == _SIZ and len(body) >= 39:
            components = body[36:]
            right, bottom, left, top = struct.unpack_from(">4I", body, 2)
        elif data[at + 1] == _COD and len(body) >= 5:
            is_transformed = body[4] != 0
        at += 2 + length
    if not components or len(components) % 3:
        raise ValueError("the JPEG 2000 header is damaged")
    return Jpeg2000(
        bottom - top,
        right - left,
        tuple((depth & 0x7F) + 1 for depth in components[::3]),
        any(depth & 0x80 for depth in components[::3]),
        any(step != 1 for index in (1, 2) for step in components[index::3]),
        is_transformed,
    )
