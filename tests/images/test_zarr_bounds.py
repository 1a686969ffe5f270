"""Chunks are bounded before one of them is read."""

import json
import time

import pytest

from nucseg_jax.images.open_source import open_source
from nucseg_jax.images.source import RefusedImage


def write_header(path, shape, chunks, *, shard=None, dtype="uint8") -> None:
    """A Zarr array of which nothing but its metadata exists: all of it is fill value."""
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
    if shard is not None:
        inner = {"chunk_shape": chunks, "codecs": codecs, "index_codecs": codecs, "index_location": "end"}
        codecs, chunks = [{"name": "sharding_indexed", "configuration": inner}], shard
    array = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": codecs,
    }
    path.mkdir()
    (path / "zarr.json").write_text(json.dumps(array))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (dict(shape=[100_000, 100_000], chunks=[100_000, 100_000]), "9,537 MiB each"),
        (dict(shape=[10, 10, 3], chunks=[1 << 20, 1 << 20, 3]), "MiB each"),
        (dict(shape=[10_000, 20_000], chunks=[10_000, 20_000], dtype="uint16"), "381 MiB each"),
        (dict(shape=[4000, 4000, 3], chunks=[1, 1, 1]), "3,072,000 of them in a strip"),
        (dict(shape=[3, 4000, 4000], chunks=[1, 1, 1]), "3,072,000 of them in a strip"),
        (
            dict(shape=[4000, 4000], chunks=[8, 8], shard=[4000, 4000]),
            "250,000 of them in a shard",
        ),
    ],
)
def test_chunks_of_gigabytes_and_of_bytes_are_refused_at_the_header(header, words, tmp_path):
    write_header(tmp_path / "a.zarr", **header)
    begin = time.monotonic()
    with pytest.raises(RefusedImage, match=words):
        open_source(tmp_path / "a.zarr")
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    "header",
    [
        dict(shape=[100_000, 200_000, 3], chunks=[256, 256, 1]),
        dict(shape=[200_000, 60_000], chunks=[1, 60_000]),
        dict(shape=[5000, 5000, 3], chunks=[5000, 5000, 3]),
        dict(shape=[3, 100_000, 100_000], chunks=[1, 64, 64], shard=[1, 4096, 4096]),
        dict(shape=[20, 30], chunks=[1, 1]),
    ],
)
def test_chunks_as_writers_make_them_are_read(header, tmp_path):
    write_header(tmp_path / "a.zarr", **header)
    source = open_source(tmp_path / "a.zarr")
    assert source.read(source.height - 5, source.width - 5, 5, 5).shape == (5, 5, 3)
