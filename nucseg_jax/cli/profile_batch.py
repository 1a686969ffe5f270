"""The batch that `profile` measures compiled functions on: noise, whose values no speed depends on, and nuclei."""

import numpy as np

from nucseg_jax.config.evaluation import StainNormalization
from nucseg_jax.data.batch import Batch
from nucseg_jax.ops.stain_normalization.target import StainTarget, pooled_target

# 8 microns at .25 microns a pixel. The targets of some heads take longer for wider nuclei.
NUCLEUS_PX = 32
_TARGET_PX = 64


def random_batch(leading: tuple[int, ...], px: int, *, with_instances: bool) -> Batch:
    """Returns a batch of noise, every leaf with these leading axes; nuclei are touching squares of `NUCLEUS_PX`."""
    rng = np.random.default_rng(0)
    a_side = -(-px // NUCLEUS_PX)
    squares = np.arange(1, 1 + a_side**2, dtype=np.uint16).reshape(a_side, a_side)
    instance = np.kron(squares, np.ones((NUCLEUS_PX, NUCLEUS_PX), np.uint16))[:px, :px]
    return Batch(
        image=rng.integers(0, 256, (*leading, px, px, 3), np.uint8),
        label=rng.integers(0, 2, (*leading, px, px), np.uint8),
        valid=np.ones(leading, bool),
        index=np.broadcast_to(np.arange(leading[-1], dtype=np.int32), leading),
        group=np.zeros(leading, np.int32),
        instance=np.broadcast_to(instance, (*leading, px, px)) if with_instances else None,
    )


def noise_target(method: StainNormalization) -> StainTarget | None:
    """Returns a target of noise for a method of stain normalisation: no program's time depends on the target."""
    if method == "none":
        return None
    return pooled_target(method, random_batch((1,), _TARGET_PX, with_instances=False).image, 1)
