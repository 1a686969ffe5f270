"""Checksums do not depend on the mesh, and every single flipped bit changes one."""

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from nucseg_jax.training.checksum import checksums
from nucseg_jax.training.mesh import make_mesh

RNG = np.random.default_rng(0)
STATE = {
    "float32": RNG.normal(size=(4, 3, 8, 5)).astype(np.float32),
    "bfloat16": RNG.normal(size=(16, 2)).astype(jax.numpy.bfloat16),
    "int32": np.array(7, np.int32),
    "uint8": RNG.integers(0, 256, 24, np.uint8),
    "bool": np.array([True, False, True, True]),
}


def slow(array):
    """The definition, value by value."""
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
def test_they_are_the_slow_sums_however_the_arrays_lie(specs):
    mesh = make_mesh(2, 2, 2)
    placed = {
        name: jax.device_put(array, NamedSharding(mesh, specs.get(name, P())))
        for name, array in STATE.items()
    }
    assert checksums(placed) == [slow(array) for array in jax.tree.leaves(STATE)]


def test_every_flipped_bit_is_seen():
    state = {"weights": STATE["float32"], "step": STATE["int32"], "flags": STATE["uint8"]}
    expected = checksums(jax.device_put(state))
    for name, array in state.items():
        for _ in range(40):
            flipped = array.copy().reshape(-1)
            view = flipped.view(np.uint8)
            view[RNG.integers(len(view))] ^= 1 << RNG.integers(8)
            found = checksums(jax.device_put({**state, name: flipped.reshape(array.shape)}))
            # Leaves of a dict come in the order of its keys.
            differs = [a != b for a, b in zip(found, expected, strict=True)]
            assert differs == [leaf == name for leaf in sorted(state)]


def test_two_values_that_change_places_are_seen():
    array = np.arange(1, 9, dtype=np.float32)
    swapped = array[[1, 0, *range(2, 8)]]
    assert checksums(jax.device_put([array])) != checksums(jax.device_put([swapped]))
