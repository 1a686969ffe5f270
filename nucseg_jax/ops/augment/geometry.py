"""The square's symmetries, drawn at random and applied to image and labels alike."""

import functools
from typing import TypeVar

import jax
import jax.numpy as jnp

from nucseg_jax.ops.symmetries import Symmetry, move

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
    moved = functools.partial(move, symmetry=Symmetry(rows, columns, transposed))
    moved_label: Labels = jax.tree.map(moved, label)
    return moved(image), moved_label
