"""Compressed data whose own picture is not of the shape that the tags state are refused; they were sheared."""

import os

import imagecodecs
import numpy as np
import pytest
import tifffile

from nucseg_jax.images.open_source import open_source
from nucseg_jax.images.source import RefusedImage
from tests.images.test_tiff_source import retagged

ENCODERS = {
    "jpeg": lambda pixels: imagecodecs.jpeg_encode(pixels, level=98),
    "jpeg2000": lambda pixels: imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k"),
    "webp": lambda pixels: imagecodecs.webp_encode(pixels, lossless=True),
    "jpegxl": lambda pixels: imagecodecs.jpegxl_encode(pixels, lossless=True),
}


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Smooth, so that JPEG keeps it."""
    y, x = np.mgrid[0:96, 0:128]
    return np.stack([255 - y, 40 + x, 200 - y - x // 2], axis=-1).astype(np.uint8)


def written(path, picture, compression, data_of, **layout):
    """A picture in one tile or strip, whose data are replaced."""
    tifffile.imwrite(path, picture, photometric="rgb", compression=compression, metadata=None, **layout)
    data = ENCODERS[compression](np.ascontiguousarray(data_of))
    with path.open("ab") as file:
        file.seek(0, os.SEEK_END)
        start = file.tell()
        file.write(data)
    kind = "Tile" if "tile" in layout else "Strip"
    retagged(path, **{f"{kind}Offsets": (start,), f"{kind}ByteCounts": (len(data),)})
    return path


@pytest.mark.parametrize("compression", ENCODERS)
@pytest.mark.parametrize("layout", [{"tile": (96, 128)}, {"rowsperstrip": 96}], ids=["tile", "strip"])
@pytest.mark.parametrize(
    "change",
    [
        lambda pixels: np.pad(pixels, ((0, 32), (0, 32), (0, 0))),
        lambda pixels: pixels.transpose(1, 0, 2),
        lambda pixels: pixels.reshape(48, 256, 3),
        lambda pixels: np.concatenate([pixels, pixels[..., :1]], axis=-1),
    ],
    ids=["larger", "turned", "flatter", "four samples"],
)
def test_a_picture_of_another_shape_is_refused(compression, layout, change, picture, tmp_path):
    same = written(tmp_path / "same.tif", picture, compression, picture, **layout)
    source = open_source(same)
    assert np.abs(source.read(0, 0, 96, 128).astype(int) - picture).max() <= 12
    source.close()
    other = written(tmp_path / "other.tif", picture, compression, change(picture), **layout)
    with pytest.raises(RefusedImage, match="the data in them are"):
        open_source(other)


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "webp", "jpegxl"])
def test_tiles_that_end_where_the_image_does_are_read(compression, picture, tmp_path):
    path = written(tmp_path / "a.tif", picture, compression, picture, tile=(128, 160))
    source = open_source(path)
    assert np.abs(source.read(0, 0, 96, 128).astype(int) - picture).max() <= 12
    source.close()


@pytest.mark.parametrize("by_strips", [False, True])
def test_a_tile_of_gigabytes_is_refused_before_it_is_decoded(by_strips, picture, tmp_path, monkeypatch):
    """A small image, and a tile that would not fit into memory."""
    if by_strips:
        monkeypatch.setattr("nucseg_jax.images.tiff_source.LARGEST_WHOLE_PX", 100)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture, photometric="rgb", compression="zlib", tile=(96, 128), metadata=None)
    open_source(path).close()
    retagged(path, TileWidth=1 << 15, TileLength=1 << 15)
    with pytest.raises(RefusedImage, match="256 MiB"):
        open_source(path)


@pytest.mark.parametrize("compression", [None, "packbits"])
def test_a_predictor_without_its_compression_is_refused(compression, picture, tmp_path):
    path = tmp_path / "a.tif"
    # No writer offers it: another tag becomes the predictor's.
    tifffile.imwrite(
        path,
        picture,
        photometric="rgb",
        compression=compression,
        metadata=None,
        extratags=[(316, 3, 1, 2, True)],
    )
    data = path.read_bytes()
    assert data.count(b"\x3c\x01\x03\x00") == 1
    path.write_bytes(data.replace(b"\x3c\x01\x03\x00", b"\x3d\x01\x03\x00"))
    with pytest.raises(RefusedImage, match="predictor 2"):
        open_source(path)
