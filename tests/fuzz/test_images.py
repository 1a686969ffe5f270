"""Damaged images of users: read as RGB, or refused with the reason."""

import pathlib
import tempfile

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.inference.open_source import open_source, refused
from tests.fuzz.cases import ends_well, fuzzed
from tests.fuzz.damage import damaged

WRITERS = {
    "a.png": lambda path, rgb: Image.fromarray(rgb).save(path),
    "a.jpg": lambda path, rgb: Image.fromarray(rgb).save(path, quality=90),
    "strips.tif": lambda path, rgb: tifffile.imwrite(path, rgb, rowsperstrip=10, compression="lzw"),
    "tiles.tif": lambda path, rgb: tifffile.imwrite(path, rgb, tile=(32, 48), compression="zlib"),
    "jpeg.tif": lambda path, rgb: tifffile.imwrite(path, rgb, tile=(32, 48), compression="jpeg"),
    "a.ome.tif": lambda path, rgb: tifffile.imwrite(path, rgb, photometric="rgb", tile=(64, 64)),
}


@pytest.fixture(scope="module")
def contents(tmp_path_factory) -> dict[str, bytes]:
    folder, (y, x) = tmp_path_factory.mktemp("images"), np.mgrid[0:96, 0:130]
    rgb = np.stack([y * 2, x, 255 - y - x // 2], axis=-1).astype(np.uint8)
    for name, write in WRITERS.items():
        write(folder / name, rgb)
    return {name: (folder / name).read_bytes() for name in WRITERS}


def read_corner(path: pathlib.Path) -> np.ndarray:
    """The first rows, as predict takes them."""
    with refused(path):
        source = open_source(path)
        try:
            return source.read(0, 0, min(source.height, 96), min(source.width, 512))
        finally:
            source.close()


@pytest.mark.parametrize("name", WRITERS)
@fuzzed(cases=25)
@given(data=st.data())
def test_a_damaged_image_is_read_or_refused(contents, name, data):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        path.write_bytes(data.draw(damaged(contents[name])))
        outcome = ends_well(f"images, {name}", lambda: read_corner(path), folder=path.parent)
        if not isinstance(outcome, UserError):
            assert outcome.dtype == np.uint8
            assert outcome.shape[2:] == (3,)
