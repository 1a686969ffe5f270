"""Random keys by purpose, so that no two purposes ever share one."""

import enum

import jax


class Stream(enum.IntEnum):
    """Purposes of randomness, but for augmentation. The numbers decide results: never change one, only add."""

    INITIAL_WEIGHTS = 0
    DROPOUT = 1
    # Numbers of 2 to 999 are those of `ops.augment.augmentation.Kind`.


def stream_key(seed: int, stream: int) -> jax.Array:
    """Returns the key of one purpose in a run with this seed; fold in step, epoch or example from here.

    Args:
      seed: of the run.
      stream: a `Stream` or another number that no purpose shares.
    """
    return jax.random.fold_in(jax.random.key(seed), stream)
