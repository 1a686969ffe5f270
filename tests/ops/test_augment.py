import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.ops.augment import example_keys, flips_and_quarter_turns


def symmetries(pixels):
    """The eight of a square array [S, S, ...], as bytes."""
    turned = [np.rot90(pixels, quarter) for quarter in range(4)]
    return [move.tobytes() for pixel in turned for move in (pixel, np.swapaxes(pixel, 0, 1))]


def test_each_of_the_eight_symmetries_comes_about_equally_often_and_the_label_moves_along():
    N = 800
    one = np.arange(16, dtype=np.uint8).reshape(4, 4)
    image = jnp.asarray(np.broadcast_to(np.stack([one, one + 50, one + 100], -1), (N, 4, 4, 3)))
    label = jnp.asarray(np.broadcast_to(one, (N, 4, 4)))
    keys = example_keys(0, jnp.int32(3), jnp.arange(N))
    moved_image, moved_label = jax.jit(flips_and_quarter_turns)(image, label, keys)
    np.testing.assert_array_equal(moved_image[..., 0], moved_label)
    np.testing.assert_array_equal(moved_image[..., 2], moved_label + 100)
    expected = symmetries(one)
    assert len(set(expected)) == 8
    seen = [np.asarray(turned).tobytes() for turned in moved_label]
    counts = [seen.count(move) for move in expected]
    assert sum(counts) == N
    assert min(counts) > N / 8 * 0.7


def test_keys_depend_on_seed_epoch_and_example_alone():
    """Whatever the batch, an example's key is its own."""
    together = jax.random.key_data(example_keys(1, jnp.int32(2), jnp.array([5, 9, 7])))
    alone = jax.random.key_data(example_keys(1, jnp.int32(2), jnp.array([7])))
    np.testing.assert_array_equal(together[2], alone[0])
    for other in (
        example_keys(2, jnp.int32(2), jnp.array([7])),
        example_keys(1, jnp.int32(3), jnp.array([7])),
    ):
        assert not np.array_equal(jax.random.key_data(other)[0], alone[0])
