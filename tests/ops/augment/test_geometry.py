import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.ops.augment.augmentation import Kind
from nucseg_jax.ops.augment.geometry import flips_and_quarter_turns
from nucseg_jax.ops.augment.keys import example_keys

GOLDEN = ["0213", "1032", "1302", "0213", "1302", "3210", "3120", "0123", "0213", "1302"]


def symmetries(pixels):
    """The eight of a square array [S, S, ...], as bytes."""
    turned = [np.rot90(pixels, quarter) for quarter in range(4)]
    return [move.tobytes() for pixel in turned for move in (pixel, np.swapaxes(pixel, 0, 1))]


def test_each_of_the_eight_symmetries_comes_about_equally_often_and_the_label_moves_along():
    N = 800
    one = np.arange(16, dtype=np.uint8).reshape(4, 4)
    image = jnp.asarray(np.broadcast_to(np.stack([one, one + 50, one + 100], -1), (N, 4, 4, 3)))
    label = jnp.asarray(np.broadcast_to(one, (N, 4, 4)))
    keys = example_keys(0, Kind.GEOMETRY, jnp.int32(3), jnp.arange(N))
    moved_image, moved_label = jax.jit(flips_and_quarter_turns)(image, label, keys)
    np.testing.assert_array_equal(moved_image[..., 0], moved_label)
    np.testing.assert_array_equal(moved_image[..., 2], moved_label + 100)
    expected = symmetries(one)
    assert len(set(expected)) == 8
    seen = [np.asarray(turned).tobytes() for turned in moved_label]
    counts = [seen.count(move) for move in expected]
    assert sum(counts) == N
    assert min(counts) > N / 8 * 0.7


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (dict(quarter_turns=False), lambda one: [one, one[::-1], one[:, ::-1], one[::-1, ::-1]]),
        (dict(flips=False), lambda one: [np.rot90(one, quarter) for quarter in range(4)]),
    ],
)
def test_flips_alone_and_turns_alone_are_groups_of_four(options, wanted):
    N = 400
    one = np.arange(16, dtype=np.uint8).reshape(4, 4)
    label = jnp.asarray(np.broadcast_to(one, (N, 4, 4)))
    image = jnp.repeat(label[..., None], 3, axis=-1)
    keys = example_keys(0, Kind.GEOMETRY, jnp.int32(0), jnp.arange(N))
    moved_image, moved_label = jax.jit(functools.partial(flips_and_quarter_turns, **options))(
        image, label, keys
    )
    np.testing.assert_array_equal(moved_image[..., 1], moved_label)
    seen = [np.asarray(turned).tobytes() for turned in moved_label]
    counts = [seen.count(move.tobytes()) for move in wanted(one)]
    assert sum(counts) == N
    assert min(counts) > N / 4 * 0.7


def test_the_draws_are_those_of_the_first_version():
    """Golden: runs of earlier commits are repeated to the last bit."""
    label = jnp.broadcast_to(jnp.arange(4, dtype=jnp.uint8).reshape(2, 2), (10, 2, 2))
    image = jnp.repeat(label[..., None], 3, axis=-1)
    keys = example_keys(7, Kind.GEOMETRY, jnp.int32(2), jnp.arange(10) + 100)
    _, moved = jax.jit(flips_and_quarter_turns)(image, label, keys)
    assert ["".join(map(str, one.ravel())) for one in np.asarray(moved)] == GOLDEN
