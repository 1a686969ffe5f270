"""Damaged images of users: read as RGB, or refused with the reason."""

import json
import pathlib
import re
import tempfile

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.images.open_source import open_source, refused
from tests.fuzz.cases import ends_well, fuzzed
from tests.fuzz.damage import JSON, altered, damaged

WRITERS = {
    "a.png": lambda path, rgb: Image.fromarray(rgb).save(path),
    "a.jpg": lambda path, rgb: Image.fromarray(rgb).save(path, quality=90),
    "strips.tif": lambda path, rgb: tifffile.imwrite(path, rgb, rowsperstrip=10, compression="lzw"),
    "tiles.tif": lambda path, rgb: tifffile.imwrite(path, rgb, tile=(32, 48), compression="zlib"),
    "jpeg.tif": lambda path, rgb: tifffile.imwrite(path, rgb, tile=(32, 48), compression="jpeg"),
    "a.ome.tif": lambda path, rgb: tifffile.imwrite(path, rgb, photometric="rgb", tile=(64, 64)),
    "channels.ome.tif": lambda path, rgb: tifffile.imwrite(
        path, rgb.transpose(2, 0, 1), photometric="minisblack", metadata={"axes": "CYX"}, compression="lzw"
    ),
    "aperio.tif": lambda path, rgb: tifffile.imwrite(
        path,
        rgb,
        tile=(64, 64),
        compression=33005,
        description="Aperio Image Library v1|AppMag = 20|MPP = 0.5",
        metadata=None,
    ),
    "twelve.tif": lambda path, rgb: tifffile.imwrite(
        path, rgb.astype(np.uint16) * 16, photometric="rgb", bitspersample=12
    ),
    "palette.tif": lambda path, rgb: tifffile.imwrite(
        path, rgb[..., 0], photometric="palette", colormap=np.arange(768, dtype=np.uint16).reshape(3, 256)
    ),
}
NGFF = {
    "version": "0.5",
    "multiscales": [
        {
            "axes": [{"name": "c"}, {"name": "y", "unit": "micrometer"}, {"name": "x", "unit": "micrometer"}],
            "datasets": [
                {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]},
                {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]},
            ],
            "coordinateTransformations": [{"type": "scale", "scale": [1.0, 0.5, 0.5]}],
        }
    ],
    "omero": {"channels": [{"label": name, "color": "FF0000"} for name in "RGB"]},
}


@pytest.fixture(scope="module")
def contents(tmp_path_factory) -> dict[str, bytes]:
    folder, (y, x) = tmp_path_factory.mktemp("images"), np.mgrid[0:96, 0:130]
    rgb = np.stack([y * 2, x, 255 - y - x // 2], axis=-1).astype(np.uint8)
    for name, write in WRITERS.items():
        write(folder / name, rgb)
    return {name: (folder / name).read_bytes() for name in WRITERS}


@pytest.fixture(scope="module")
def ngff(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("zarr") / "a.ome.zarr"
    group = zarr.create_group(folder)
    for index, size in enumerate((32, 16)):
        group.create_array(str(index), data=np.zeros((3, size, size), np.uint8))
    return folder


def read_corner(path: pathlib.Path) -> np.ndarray:
    """The first rows, as predict takes them."""
    with refused(path):
        source = open_source(path)
        try:
            return source.read(0, 0, min(source.height, 96), min(source.width, 512))
        finally:
            source.close()


@pytest.mark.parametrize("name", WRITERS)
@fuzzed(cases=20)
@given(data=st.data())
def test_a_damaged_image_is_read_or_refused(contents, name, data):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        path.write_bytes(data.draw(damaged(contents[name])))
        outcome = ends_well(f"images, {name}", lambda: read_corner(path), folder=path.parent)
        if not isinstance(outcome, UserError):
            assert outcome.dtype == np.uint8
            assert outcome.shape[2:] == (3,)


@fuzzed(cases=40)
@given(attributes=st.one_of(altered(NGFF), st.dictionaries(st.sampled_from(sorted(NGFF)), JSON)))
def test_hostile_metadata_of_an_ome_zarr_are_understood_or_refused(ngff, attributes):
    (ngff / "zarr.json").write_text(
        json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {"ome": attributes}})
    )
    outcome = ends_well("images, metadata of OME-Zarr", lambda: read_corner(ngff), folder=ngff.parent)
    if not isinstance(outcome, UserError):
        assert outcome.shape[2:] == (3,)


@fuzzed(cases=60)
@given(data=st.data())
def test_hostile_ome_xml_is_understood_or_refused(contents, data):
    """Names and numbers of attributes are exchanged, in place, so that the TIFF around them stays whole."""
    content = contents["channels.ome.tif"]
    start, end = content.index(b"<Image"), content.index(b"</OME>")
    words = sorted({*re.findall(rb"[A-Za-z0-9]+", content[start:end])})
    text = content[start:end]
    for _ in range(data.draw(st.integers(1, 3))):
        old = data.draw(st.sampled_from(words))
        new = data.draw(st.sampled_from([word for word in words if len(word) == len(old)]))
        new = data.draw(st.sampled_from([new, b"9" * len(old), b"-" + b"1" * (len(old) - 1)]))
        text = text.replace(old, new)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.ome.tif"
        path.write_bytes(content[:start] + text + content[end:])
        outcome = ends_well("images, OME-XML", lambda: read_corner(path), folder=path.parent)
        if not isinstance(outcome, UserError):
            assert outcome.shape == (96, 130, 3)
