"""JPEG and JPEG 2000 data state their own colours and bits, whatever their container does."""

import struct

import imagecodecs
import numpy as np
import pytest

from nucseg_jax.images.codestream import jpeg2000_header, jpeg_header

JFIF = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"


def adobe(transform: int) -> bytes:
    return b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])


def jpeg(markers: bytes, ids: bytes, first: int = 0x11) -> bytes:
    """The head of JPEG data, up to the frame."""
    components = b"".join(bytes([each, first if index == 0 else 0x11, 0]) for index, each in enumerate(ids))
    frame = struct.pack(">BHHB", 8, 16, 32, len(ids)) + components
    comment = b"\xff\xfe\x00\x06JFIF"
    return b"\xff\xd8" + comment + markers + b"\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame


@pytest.mark.parametrize(
    ("data", "colours"),
    [
        (jpeg(JFIF, b"\1\2\3"), "YCbCr"),
        (jpeg(JFIF + adobe(0), b"RGB"), "YCbCr"),
        (jpeg(adobe(0), b"\1\2\3"), "RGB"),
        (jpeg(adobe(1), b"\1\2\3"), "YCbCr"),
        (jpeg(adobe(1), b"RGB"), "YCbCr"),
        (jpeg(b"", b"RGB"), "RGB"),
        (jpeg(b"", b"\1\2\3"), None),
        (jpeg(b"", b"\0\1\2"), None),
        (jpeg(b"", b"\0\1\2", first=0x21), "YCbCr"),
        (jpeg(JFIF, b"\1"), None),
        (jpeg(adobe(0), b"\1\2\3\4"), None),
    ],
)
def test_markers_decide_before_names_and_sampling_do(data, colours):
    header = jpeg_header(data)
    assert header.colours == colours
    assert (header.height, header.width) == (16, 32)


@pytest.mark.parametrize("cut", [0, 1, 3, 20, 40])
def test_damaged_heads_are_no_statement(cut):
    with pytest.raises((ValueError, struct.error)):
        jpeg_header(jpeg(JFIF, b"\1\2\3")[:cut])
    with pytest.raises((ValueError, struct.error)):
        jpeg2000_header(imagecodecs.jpeg2k_encode(np.zeros((8, 8), np.uint8), codecformat="j2k")[:cut])


@pytest.mark.parametrize("codecformat", ["j2k", "jp2"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("is_transformed", [False, True])
def test_the_header_of_jpeg_2000_is_read(codecformat, bits, is_transformed):
    pixels = np.zeros((16, 24, 3), np.uint8 if bits == 8 else np.uint16)
    data = imagecodecs.jpeg2k_encode(
        pixels, codecformat=codecformat, bitspersample=bits, mct=is_transformed, reversible=True
    )
    header = jpeg2000_header(data)
    assert header == (16, 24, (bits,) * 3, False, False, is_transformed)
    # Of each component: depth and sign, columns and rows a sample.
    first = data.index(b"\xff\x4f\xff\x51") + 2 + 4 + 36
    for offset, value, field in (
        (0, 0x80 | (bits - 1), "is_signed"),
        (4, 2, "is_subsampled"),
        (8, 2, "is_subsampled"),
    ):
        changed = bytearray(data)
        changed[first + offset] = value
        assert getattr(jpeg2000_header(bytes(changed)), field)
