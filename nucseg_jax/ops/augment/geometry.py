"""The square's symmetries, applied to image and labels alike."""

from typing import TypeVar

import jax
import jax.numpy as jnp

# An array, or a tree of arrays.
Labels = TypeVar("Labels")


def flips_and_quarter_turns(
    image: jax.Array, label: Labels, keys: jax.Array, *, flips: bool = True, quarter_turns: bool = True
) -> tuple[jax.Array, Labels]:
    """Moves each example by one of the square's eight symmetries, all equally likely.

    Args:
      image: [N, S, S, 3], any dtype.
      label: [N, S, S], any dtype, or a tree of such arrays.
      keys: typed random keys [N].
      flips: False leaves the four rotations.
      quarter_turns: False leaves the four moves that keep rows rows: both flips, alone, together or neither.

    Returns:
      image and label of the same shapes and dtypes.
    """
    rows, columns, transposed = jax.vmap(lambda key: jax.random.bernoulli(key, shape=(3,)))(keys).T
    if not quarter_turns:
        transposed = jnp.zeros_like(transposed)
    if not flips:
        # An even number of reflections is a rotation.
        columns = rows ^ transposed

    def move(pixels: jax.Array) -> jax.Array:
        def chosen(choice: jax.Array) -> jax.Array:
            return choice.reshape((-1,) + (1,) * (pixels.ndim - 1))

        pixels = jnp.where(chosen(rows), pixels[:, ::-1], pixels)
        pixels = jnp.where(chosen(columns), pixels[:, :, ::-1], pixels)
        return jnp.where(chosen(transposed), jnp.swapaxes(pixels, 1, 2), pixels)

    image = move(image)
    moved: Labels = jax.tree.map(move, label)
    return image, moved
