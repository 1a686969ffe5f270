"""Per-array checksums that detect damaged checkpoints; the same on every mesh and in any number of processes."""

import functools
import zlib

import jax
import numpy as np
from jax.experimental import multihost_utils


def crc32s(state: object) -> list[int]:
    """CRC-32 of the bytes of each array in C order, in the order of `jax.tree.leaves`.

    No process needs a whole array. CRC-32 is affine over XOR: with zeros in the place of what others hold, each
    process's CRC differs from the CRC of nothing but zeros by a share, and the XOR of all shares is the whole
    array's. An error of up to 32 bits in a row, or in any two bits, is always seen; any other but for 1 in 2^32.

    Args:
      state: a tree of arrays on the mesh; every process must ask.
    """
    here = np.array([_share(leaf) for leaf in jax.tree.leaves(state)], np.uint32)
    everywhere = np.asarray(multihost_utils.process_allgather(here)).reshape(-1, len(here))
    zeros = [_crc32_of_zeros(leaf.nbytes) for leaf in jax.tree.leaves(state)]
    return [int(share) ^ zero for share, zero in zip(np.bitwise_xor.reduce(everywhere), zeros, strict=True)]


def _share(array: jax.Array) -> int:
    """CRC-32 of the pieces that this process counts, zeros elsewhere, XOR the CRC-32 of zeros alone."""
    pieces = [shard for shard in array.addressable_shards if shard.replica_id == 0]
    if not pieces:
        return 0
    if pieces[0].data.shape == array.shape:
        known = np.asarray(pieces[0].data)
    else:
        known = np.zeros(array.shape, array.dtype)
        for piece in pieces:
            known[piece.index] = np.asarray(piece.data)
    flat = np.ascontiguousarray(known).reshape(-1).view(np.uint8)
    return zlib.crc32(flat.data) ^ _crc32_of_zeros(array.nbytes)


@functools.lru_cache(maxsize=4096)
def _crc32_of_zeros(size: int) -> int:
    return zlib.crc32(bytes(size))


def weighted_sums(state: object) -> list[int]:
    """Checksums of earlier versions, to read their checkpoints by: errors in two places may cancel in them.

    The sum of the array's words, each times an odd number that only its place has, modulo 2^32.

    Args:
      state: a tree of arrays, each value of at most 4 bytes, on the mesh; every process must ask.
    """
    here = np.array([_sum_of_pieces(leaf) for leaf in jax.tree.leaves(state)], np.uint32)
    everywhere = np.asarray(multihost_utils.process_allgather(here)).reshape(-1, len(here))
    return [int(value) for value in everywhere.sum(0, dtype=np.uint32)]


def _sum_of_pieces(array: jax.Array) -> int:
    """The sum over the pieces that this process has, those that others have too counted once over all processes."""
    pieces = [shard for shard in array.addressable_shards if shard.replica_id == 0]
    return sum(_weighted_sum(np.asarray(piece.data), piece.index, array.shape) for piece in pieces) % 2**32


def _weighted_sum(values: np.ndarray, place: tuple[slice, ...], shape: tuple[int, ...]) -> int:
    """The sum of words times (1 + 2 * position in the whole array), from one sum an axis."""
    words = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}").reshape(values.shape)
    total = int(words.sum(dtype=np.uint32))
    step = 2
    for axis in reversed(range(len(shape))):
        others = tuple(other for other in range(len(shape)) if other != axis)
        along = words.sum(others, dtype=np.uint32)
        first = place[axis].start or 0
        positions = np.arange(first, first + len(along), dtype=np.uint32)
        total += step * int(np.sum(along * positions, dtype=np.uint32))
        step *= shape[axis]
    return total
