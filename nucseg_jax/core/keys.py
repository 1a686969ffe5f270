"""Random keys by purpose, so that no two purposes ever share one."""

import enum

import jax


class Stream(enum.IntEnum):
    """What randomness is for. The numbers decide results: never change one, only add."""

    INITIAL_WEIGHTS = 0
    DROPOUT = 1
    AUGMENTATION = 2  # Flips and quarter turns.
    STAIN_JITTER = 3
    COLOUR_JITTER = 4
    BLUR = 5
    NOISE = 6


def stream_key(seed: int, stream: Stream) -> jax.Array:
    """The key of one purpose in a run with this seed; fold in step, epoch or example from here."""
    return jax.random.fold_in(jax.random.key(seed), stream)
