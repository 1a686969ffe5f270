"""Label rasters as files: PNG, TIFF and npy of every kind, and what they share."""

import os
import pathlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.labels.annotation import LABEL_ENDINGS
from tests.data.labels.label_files import drawn, read

IDS = np.zeros((40, 50), np.int64)
for _index in range(30):
    IDS[8 * (_index // 6) : 8 * (_index // 6) + 5, 8 * (_index % 6) : 8 * (_index % 6) + 6] = _index + 1


def save_png(path, array, **more):
    Image.fromarray(array).save(path, **more)


def save_palette(path, array, colours, **more):
    picture = Image.fromarray(array.astype(np.uint8), "P")
    picture.putpalette(np.asarray(colours, np.uint8).ravel().tolist())
    picture.save(path, **more)


def save_four_bits(path, array):
    """Grey levels of 4 bits, which Pillow does not write."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((row[0::2] << 4 | row[1::2]).astype(np.uint8)) for row in array)
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 4, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def pyramid(path, array):
    with tifffile.TiffWriter(path) as file:
        file.write(array, subifds=1, tile=(16, 16), metadata=None, photometric="minisblack")
        file.write(array[::2, ::2], subfiletype=1, tile=(16, 16), metadata=None, photometric="minisblack")


COLOURS = np.random.default_rng(0).integers(0, 256, (256, 3))
WRITERS = {
    "a.png": lambda path: save_png(path, IDS.astype(np.uint8)),
    "b.png": lambda path: save_png(path, IDS.astype(np.uint16)),
    "palette.png": lambda path: save_palette(path, IDS, COLOURS),
    "a.npy": lambda path: np.save(path, IDS.astype(np.int32)),
    "fortran.npy": lambda path: np.save(path, np.asfortranarray(IDS.astype(np.float32))),
    "a.tif": lambda path: tifffile.imwrite(path, IDS.astype(np.uint8)),
    "b.tiff": lambda path: tifffile.imwrite(path, IDS.astype(np.uint16), compression="zlib", predictor=True),
    "signed.tif": lambda path: tifffile.imwrite(path, IDS.astype(np.int32), compression="lzw"),
    "float.tif": lambda path: tifffile.imwrite(path, IDS.astype(np.float32), imagej=True),
    "a.ome.tif": lambda path: tifffile.imwrite(path, IDS.astype(np.uint32), tile=(16, 16)),
    "pyramid.tif": lambda path: pyramid(path, IDS.astype(np.uint16)),
    "palette.tif": lambda path: tifffile.imwrite(
        path, IDS.astype(np.uint8), photometric="palette", colormap=(COLOURS.T * 257).astype(np.uint16)
    ),
    "UPPER.PNG": lambda path: save_png(path, IDS.astype(np.uint8)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_ids_are_read_from_every_kind_of_raster(tmp_path, name):
    WRITERS[name](tmp_path / name)
    annotation = read(tmp_path / name, 40, 50)
    assert (annotation.height, annotation.width, annotation.nucleus_count) == (40, 50, 30)
    np.testing.assert_array_equal(drawn(annotation, 40, 50).instance, IDS)


def test_levels_of_one_and_four_bits_are_not_stretched(tmp_path):
    save_png(tmp_path / "mask.png", IDS > 0)
    assert read(tmp_path / "mask.png", 40, 50).nucleus_count == 30
    classes = (IDS % 15).astype(np.uint8)
    save_four_bits(tmp_path / "classes.png", classes)
    annotation = read(tmp_path / "classes.png", 40, 50, "classes")
    assert annotation.class_numbers == tuple(range(1, 15))
    np.testing.assert_array_equal(drawn(annotation, 40, 50, {k: k for k in range(1, 15)}).label, classes)


RGB = np.stack([IDS, IDS, IDS], axis=-1).astype(np.uint8)
GREY = IDS.astype(np.uint8)
REFUSED = {
    "rgb.png": (lambda path: save_png(path, RGB), "red, green and blue"),
    "rgba.png": (lambda path: save_png(path, np.dstack([RGB, GREY])), "alpha"),
    "alpha.png": (lambda path: Image.fromarray(GREY).convert("LA").save(path), "grey and alpha"),
    "key.png": (lambda path: save_png(path, GREY, transparency=0), "transparent"),
    "frames.png": (
        lambda path: save_png(path, GREY, save_all=True, append_images=[Image.fromarray(GREY // 2)]),
        "frames",
    ),
    "white.png": (lambda path: save_palette(path, IDS > 0, [[255] * 3, [0] * 3]), "greys that do not rise"),
    "jpeg.png": (lambda path: Image.fromarray(GREY).save(path, format="JPEG"), "no PNG"),
    "rgb.tif": (lambda path: tifffile.imwrite(path, RGB, photometric="rgb"), "3 samples"),
    "rgb16.tif": (lambda path: tifffile.imwrite(path, RGB.astype(np.uint16), photometric="rgb"), "3 samples"),
    "white.tif": (lambda path: tifffile.imwrite(path, GREY, photometric="miniswhite"), "0 is white"),
    "lossy.tif": (lambda path: tifffile.imwrite(path, GREY, compression="jpeg"), "may alter numbers"),
    "stack.tif": (lambda path: tifffile.imwrite(path, np.stack([GREY, GREY])), "stack"),
    "turned.tif": (lambda path: tifffile.imwrite(path, GREY, extratags=[(274, 3, 1, 6, True)]), "turned"),
    "half.tif": (lambda path: tifffile.imwrite(path, IDS.astype(np.float32) / 2), "fractions, such as 0.5"),
    "channels.npy": (lambda path: np.save(path, np.dstack([IDS, IDS])), "shape (40, 50, 2)"),
    "objects.npy": (lambda path: np.save(path, IDS.astype(object), allow_pickle=True), "cannot be read"),
    "text.npy": (lambda path: np.save(path, IDS.astype("U3")), "<U3"),
    "archive.npy": (lambda path: _save_archive(path), "archive (.npz)"),
    "small.png": (lambda path: save_png(path, GREY[::2, ::2]), "20 x 25 px"),
    "transposed.tif": (
        lambda path: tifffile.imwrite(path, np.ascontiguousarray(GREY.T)),
        "they are transposed",
    ),
    "transposed.npy": (lambda path: np.save(path, IDS.T), "they are transposed"),
    "a.jpg": (lambda path: Image.fromarray(GREY).save(path), "its ending"),
    "a.csv": (lambda path: path.write_text("1"), "its ending"),
    "folder.png": (lambda path: path.mkdir(), "a folder"),
    "pipe.npy": (lambda path: os.mkfifo(path), "a pipe"),
    "nothing.png": (lambda path: None, "no such file"),
    "empty.tif": (lambda path: path.write_bytes(b""), "cannot be read"),
    "empty.npy": (lambda path: path.write_bytes(b""), "cannot be read"),
}


def _save_archive(path: pathlib.Path) -> None:
    with path.open("wb") as file:
        np.savez(file, IDS)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_label_raster_of_the_image_is_refused_by_name(tmp_path, name):
    write, reason = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(UserError) as caught:
        read(tmp_path / name, 40, 50, "instances")
    assert str(tmp_path / name) in str(caught.value)
    assert reason in str(caught.value)


def test_longer_endings_come_first():
    for index, ending in enumerate(LABEL_ENDINGS):
        assert not any(ending.endswith(earlier) for earlier in LABEL_ENDINGS[:index])
