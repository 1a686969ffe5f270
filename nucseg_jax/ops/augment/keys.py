"""Random keys of single examples, and which of them are changed."""

from typing import TypeVar

import jax
import jax.numpy as jnp

from nucseg_jax.core.arrays import Array
from nucseg_jax.core.keys import stream_key

# An array, or a tree of arrays, with an axis of examples in front.
Examples = TypeVar("Examples")
# Parts the choice of examples from what is drawn for them.
_CHOICE = 0x5EED


def example_keys(seed: int, stream: int, epoch: Array, index: jax.Array) -> jax.Array:
    """Returns a key for each example, [N], of (seed, stream, epoch, example) alone: no feed, batch or host changes it.

    Args:
      seed: of the run.
      stream: the `Kind` of augmentation; each has its own, so that none changes what another draws.
      epoch: int32 [].
      index: int32 [N], the examples' numbers.
    """
    epoch_key = jax.random.fold_in(stream_key(seed, stream), epoch)
    return jax.vmap(lambda example: jax.random.fold_in(epoch_key, example))(index)


def on_a_share(probability: float, keys: jax.Array, changed: Examples, unchanged: Examples) -> Examples:
    """Returns the changed examples with some probability each, and the others unchanged.

    Args:
      probability: 0..1; 1 chooses nothing and returns all changed ones.
      keys: typed random keys [N], those that the change was drawn with.
      changed, unchanged: arrays [N, ...], or trees of them, of the same shapes and dtypes.
    """
    if probability == 1:
        return changed
    chosen = jax.vmap(lambda key: jax.random.bernoulli(jax.random.fold_in(key, _CHOICE), probability))(keys)
    either: Examples = jax.tree.map(
        lambda one, other: jnp.where(chosen.reshape((-1,) + (1,) * (one.ndim - 1)), one, other),
        changed,
        unchanged,
    )
    return either
