"""A number for each array of a state, by which a damaged checkpoint is told from a whole one."""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


def checksums(state: Any) -> list[int]:
    """One 32-bit checksum for each array, in the order of `jax.tree.leaves`; the same on every mesh.

    The sum of the array's words, each times an odd number that only its place has, modulo 2^32: one word that
    differs changes it, whichever bit it is, and pieces of an array may be summed in any order, by any process.

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
