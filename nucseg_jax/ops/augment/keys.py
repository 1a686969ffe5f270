"""Random keys of single examples."""

import jax

from nucseg_jax.core.arrays import Array
from nucseg_jax.core.keys import stream_key


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
