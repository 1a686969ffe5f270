"""Bounds on the chunks of a Zarr array, checked before one is read.

A chunk is decoded whole, whatever region is asked for; and each costs some 20 microseconds, however small it is.
"""

import math
from collections.abc import Sequence

import zarr

from nucseg_jax.images.source import RefusedImage

LARGEST_CHUNK_BYTES = 1 << 28
# A strip of as many rows is read for each row of tiles.
_STRIP_PX = 256
LARGEST_STRIP_CHUNKS = 100_000


def check_chunks(array: zarr.Array, axes: str) -> None:
    """Raises RefusedImage for an array whose chunks are too large for memory, or too many to be read in time.

    Args:
      array: a level of an image.
      axes: a letter for each of its axes, 'y' among them.
    """
    chunk_bytes = math.prod(array.chunks) * array.dtype.itemsize
    if chunk_bytes > LARGEST_CHUNK_BYTES:
        raise RefusedImage(
            f"the Zarr array has chunks of {_by(array.chunks)}, {chunk_bytes / 2**20:,.0f} MiB each",
            expected=f"chunks of at most {LARGEST_CHUNK_BYTES >> 20} MiB",
            advice="write it again with chunks of 256 to 1,024 px a side",
        )
    strip = [
        min(size, _STRIP_PX) if axis == "y" else size for axis, size in zip(axes, array.shape, strict=True)
    ]
    strip_chunks = _pieces(strip, array.chunks)
    # The index of a shard is read and kept whole.
    shard_chunks = _pieces(array.shards or array.chunks, array.chunks)
    if max(strip_chunks, shard_chunks) > LARGEST_STRIP_CHUNKS:
        raise RefusedImage(
            f"the Zarr array has chunks of {_by(array.chunks)}: {max(strip_chunks, shard_chunks):,} of them"
            f" in {'a strip' if strip_chunks >= shard_chunks else 'a shard'}",
            expected=f"at most {LARGEST_STRIP_CHUNKS:,} in a strip of {_STRIP_PX} px, and in a shard",
            advice="write it again with chunks of 256 to 1,024 px a side",
        )


def _pieces(shape: Sequence[int], chunks: Sequence[int]) -> int:
    return math.prod(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))


def _by(sizes: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in sizes)
