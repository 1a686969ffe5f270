"""Checksums are those of the bytes whatever the mesh, and errors do not cancel in them."""

import types
import zlib

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.training.checksum import _share, crc32s, weighted_sums

RNG = np.random.default_rng(0)
STATE = {
    "float32": RNG.normal(size=(4, 3, 8, 5)).astype(np.float32),
    "bfloat16": RNG.normal(size=(16, 2)).astype(jax.numpy.bfloat16),
    "int32": np.array(7, np.int32),
    "uint8": RNG.integers(0, 256, 24, np.uint8),
    "bool": np.array([True, False, True, True]),
}


def slow_sum(array):
    """The definition of earlier versions' sums, value by value."""
    words = np.asarray(array).reshape(-1).view(f"u{array.dtype.itemsize}")
    return sum(int(word) * (1 + 2 * place) for place, word in enumerate(words)) % 2**32


@pytest.mark.parametrize(
    "specs",
    [
        {},
        {"float32": P(("data", "fsdp"), None, "space"), "bfloat16": P(None, "fsdp")},
        {
            "float32": P("fsdp", None, ("space", "data")),
            "uint8": P(("data", "fsdp", "space")),
            "bool": P("space"),
        },
    ],
)
def test_they_are_those_of_the_bytes_however_the_arrays_lie(specs):
    mesh = make_mesh(2, 2, 2)
    placed = {
        name: jax.device_put(array, NamedSharding(mesh, specs.get(name, P())))
        for name, array in STATE.items()
    }
    arrays = jax.tree.leaves(STATE)
    assert crc32s(placed) == [zlib.crc32(np.asarray(array).tobytes()) for array in arrays]
    assert weighted_sums(placed) == [slow_sum(array) for array in arrays]


def test_the_shares_of_processes_that_hold_parts_make_the_whole():
    """As in several processes, none of which holds all: here two, of columns."""
    whole = STATE["float32"]

    def process(*columns):
        shards = [
            types.SimpleNamespace(
                replica_id=replica, index=(..., slice(at, at + 1)), data=whole[..., at : at + 1]
            )
            for at, replica in columns
        ]
        return types.SimpleNamespace(
            addressable_shards=shards, shape=whole.shape, dtype=whole.dtype, nbytes=whole.nbytes
        )

    first, second = process((0, 0), (3, 0), (4, 1)), process((1, 0), (2, 0), (4, 0), (0, 1))
    zeros = zlib.crc32(bytes(whole.nbytes))
    assert _share(first) ^ _share(second) ^ zeros == zlib.crc32(whole.tobytes())
    assert _share(process((0, 1))) == 0


def flipped(array, bits):
    """A copy with these bits of the whole array's bytes turned over."""
    copy = array.copy()
    view = copy.reshape(-1).view(np.uint8)
    for bit in bits:
        view[bit // 8] ^= 1 << bit % 8
    return copy


def stuck_sign(array, place):
    """A copy with the sign bit set in 512 bytes."""
    copy = array.copy().reshape(-1)
    copy[place : place + 128] = -np.abs(copy[place : place + 128])
    return copy.reshape(array.shape)


def test_every_flipped_bit_and_every_pair_of_them_is_seen():
    array = STATE["float32"]
    (expected,) = crc32s(jax.device_put([array]))
    words = array.size
    damages = [flipped(array, RNG.integers(0, 32 * words, 1)) for _ in range(40)]
    for bit in (31, 30, 0):
        for _ in range(60):
            pair = RNG.choice(words, 2, replace=False)
            damages.append(flipped(array, 32 * pair + bit))
    damages += [stuck_sign(array, place) for place in RNG.integers(0, words - 128, 60)]
    found = crc32s(jax.device_put(damages))
    assert expected not in found


def test_what_differs_is_told_by_array_and_exchanged_values_are_seen():
    expected = crc32s(jax.device_put(STATE))
    for name in STATE:
        array = flipped(np.asarray(STATE[name]), [5])
        found = crc32s(jax.device_put({**STATE, name: array.reshape(STATE[name].shape)}))
        # Leaves of a dict come in the order of its keys.
        differs = [a != b for a, b in zip(found, expected, strict=True)]
        assert differs == [leaf == name for leaf in sorted(STATE)]
    array = np.arange(1, 9, dtype=np.float32)
    swapped = array[[1, 0, *range(2, 8)]]
    assert crc32s(jax.device_put([array])) != crc32s(jax.device_put([swapped]))
