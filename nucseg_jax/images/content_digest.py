"""Digests that tell a file from another of the same size and time of change.

Archives with fixed times, `rsync -t` and `touch -r` replace a file without a trace in either.
"""

import hashlib
import os
import pathlib
from collections.abc import Sequence

# Up to this size in all, every byte is read. Beyond it: sizes, times of change, metadata, and `_BLOCKS` blocks, evenly
# spaced, the first and the last among them.
WHOLE_BYTES = 64 << 20
_BLOCK_BYTES = 256 << 10
_BLOCKS = 64


def content_digest(files: Sequence[pathlib.Path]) -> str:
    """Computes a SHA-256 of files as one: of all their bytes, or of samples where they are large.

    Args:
      files: regular files, always in the same order.

    Returns:
      Hexadecimal digits. Large files (more than `WHOLE_BYTES` together) that differ only between the samples, at equal
      sizes and times of change, have one digest.

    Raises:
      OSError: a file cannot be read.
    """
    status = [os.stat(file) for file in files]
    sizes = [each.st_size for each in status]
    digest = hashlib.sha256(repr(sizes).encode())
    if sum(sizes) <= WHOLE_BYTES:
        for file in files:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()
    digest.update(repr([each.st_mtime_ns for each in status]).encode())
    for file, size in zip(files, sizes, strict=True):
        if size <= _BLOCK_BYTES and _is_metadata(file.name):
            digest.update(file.read_bytes())
    for index, offset in _samples(sizes):
        with files[index].open("rb", buffering=0) as stream:
            stream.seek(offset)
            digest.update(stream.read(_BLOCK_BYTES))
    return digest.hexdigest()


def _is_metadata(name: str) -> bool:
    """Returns True for the small files of a Zarr store that say what its bytes mean."""
    return name.endswith(".json") or name.startswith(".z")


def _samples(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Index of a file and offset in it, for blocks that are evenly spaced over all files laid end to end."""
    last = sum(sizes) - _BLOCK_BYTES
    samples, index, begin = [], 0, 0
    for number in range(_BLOCKS):
        offset = last * number // (_BLOCKS - 1)
        while offset >= begin + sizes[index]:
            begin += sizes[index]
            index += 1
        samples.append((index, offset - begin))
    return samples
