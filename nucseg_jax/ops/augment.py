"""Random changes to a training example that move the label with the image."""

import jax
import jax.numpy as jnp

from nucseg_jax.core.keys import Stream, stream_key


def example_keys(seed: int, epoch: jax.Array, index: jax.Array) -> jax.Array:
    """One key an example, [N], folded from (seed, epoch, example): no feed, batch or host can change it."""
    epoch_key = jax.random.fold_in(stream_key(seed, Stream.AUGMENTATION), epoch)
    return jax.vmap(lambda example: jax.random.fold_in(epoch_key, example))(index)


def flips_and_quarter_turns(
    image: jax.Array, label: jax.Array, keys: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Each example takes one of the square's eight symmetries, all equally likely.

    Args:
      image: [N, S, S, 3], any dtype.
      label: [N, S, S], any dtype.
      keys: typed random keys [N].

    Returns:
      image and label of the same shapes and dtypes.
    """
    rows, columns, transposed = jax.vmap(lambda key: jax.random.bernoulli(key, shape=(3,)))(keys).T

    def move(pixels: jax.Array) -> jax.Array:
        def chosen(choice: jax.Array) -> jax.Array:
            return choice.reshape((-1,) + (1,) * (pixels.ndim - 1))

        pixels = jnp.where(chosen(rows), pixels[:, ::-1], pixels)
        pixels = jnp.where(chosen(columns), pixels[:, :, ::-1], pixels)
        return jnp.where(chosen(transposed), jnp.swapaxes(pixels, 1, 2), pixels)

    return move(image), move(label)
