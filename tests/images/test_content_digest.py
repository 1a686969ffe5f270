"""A file that was replaced is seen, also at the same size and time of change."""

import os

import pytest

from nucseg_jax.images import content_digest as module
from nucseg_jax.images.content_digest import content_digest


def replaced(path, offset: int) -> None:
    """Changes one byte, and nothing that a listing shows."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=times)


@pytest.mark.parametrize("offset", [0, 1, 50_000, -1])
def test_any_byte_of_a_small_file_counts(offset, tmp_path):
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_bytes(bytes(100_000))
    before = content_digest(files)
    os.utime(files[0], (1, 1))
    assert content_digest(files) == before
    replaced(files[1], offset)
    assert content_digest(files) != before


def test_of_large_files_samples_count_and_all_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 100)
    files = [tmp_path / name for name in ("a", "empty", "b", "zarr.json")]
    for file, size in zip(files, (50_000, 0, 70_000, 90), strict=True):
        file.write_bytes(bytes(size))
    for file, offset in ((0, 0), (0, 99), (2, -1), (3, 0), (3, 50)):
        before = content_digest(files)
        replaced(files[file], offset)
        assert content_digest(files) != before
    # A block every 1,900 bytes or so, from the first byte to the last.
    digests = []
    for offset in range(0, 50_000, 500):
        replaced(files[0], offset)
        digests.append(content_digest(files))
    assert 5 <= len(set(digests)) <= 20
    before = content_digest(files)
    os.utime(files[2], (1, 1))
    assert content_digest(files) != before


@pytest.mark.parametrize("name", [".zarray", ".zattrs", ".zgroup", "zarr.json"])
def test_the_metadata_of_a_large_store_counts_wherever_it_lies(name, tmp_path, monkeypatch):
    """Also between two samples."""
    monkeypatch.setattr(module, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 100)
    files = [tmp_path / each for each in ("a", name, "b")]
    for file, size in zip(files, (50_000, 60, 80_000), strict=True):
        file.write_bytes(bytes(size))
    seen = {content_digest(files)}
    for offset in (0, 30, 59):
        replaced(files[1], offset)
        seen.add(content_digest(files))
    assert len(seen) == 4


def test_large_files_of_other_lengths_have_another_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 100)
    seen = set()
    for sizes in ((50_000, 70_000), (50_001, 70_000), (70_000, 50_000), (60_000, 60_000)):
        files = [tmp_path / "a", tmp_path / "b"]
        for file, size in zip(files, sizes, strict=True):
            file.write_bytes(bytes(size))
            os.utime(file, (1, 1))
        seen.add(content_digest(files))
    assert len(seen) == 4
