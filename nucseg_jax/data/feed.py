"""Batches from patches in memory: shuffled tiles for training, whole patches once each for evaluation.

The order of training examples is a pure function of (seed, epoch), so a run can be taken up at any step.
"""

from collections.abc import Iterator

import numpy as np

from nucseg_jax.core.vocabulary import PATCH_PX
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.pannuke.reader import Patches


def tiles_per_patch(tile_px: int) -> int:
    """How many tiles of `tile_px` a patch is cut into, without overlap."""
    return (PATCH_PX // tile_px) ** 2


def steps_per_epoch(patch_count: int, *, tile_px: int, batch_size: int) -> int:
    """Whole training batches in an epoch.

    The examples that do not fill a last batch are left out, another few each epoch: a short batch would
    change what batch norm sees.
    """
    return patch_count * tiles_per_patch(tile_px) // batch_size


def training_batches(
    patches: Patches,
    rows: np.ndarray,
    *,
    tile_px: int,
    batch_size: int,
    seed: int,
    epoch: int,
    first_step: int = 0,
) -> Iterator[Batch]:
    """The batches of one epoch.

    Args:
      patches: the patches in memory.
      rows: int [P], rows of `patches` to train on.
      tile_px: side of a tile, divides 256.
      batch_size: examples a batch.
      seed, epoch: what the order depends on, and all it depends on.
      first_step: number of batches of this epoch to skip.

    Yields:
      `steps_per_epoch(...) - first_step` full batches of numpy arrays; `index` is patch position * tiles + tile.
    """
    tiles = tiles_per_patch(tile_px)
    per_row = PATCH_PX // tile_px
    order = np.random.default_rng([seed, epoch]).permutation(len(rows) * tiles)
    steps = steps_per_epoch(len(rows), tile_px=tile_px, batch_size=batch_size)
    for step in range(first_step, steps):
        examples = order[step * batch_size : (step + 1) * batch_size]
        patch_rows = rows[examples // tiles]
        tops, lefts = (tile_px * position for position in divmod(examples % tiles, per_row))
        corners = list(zip(patch_rows, tops, lefts, strict=True))
        yield Batch(
            image=np.stack([patches.image[p, y : y + tile_px, x : x + tile_px] for p, y, x in corners]),
            label=np.stack([patches.label[p, y : y + tile_px, x : x + tile_px] for p, y, x in corners]),
            valid=np.ones(batch_size, bool),
            index=examples.astype(np.int32),
            tissue=patches.tissue[patch_rows],
        )


def evaluation_batches(patches: Patches, rows: np.ndarray, *, batch_size: int) -> Iterator[Batch]:
    """Every patch of `rows` once, whole and in order; the last batch is filled up with repeats marked invalid.

    Repeats of real patches and not zeros, so that a forward pass with batch statistics stays meaningful.
    """
    for start in range(0, len(rows), batch_size):
        positions = np.arange(start, start + batch_size)
        valid = positions < len(rows)
        chosen = rows[positions % len(rows)]
        yield Batch(
            image=patches.image[chosen],
            label=patches.label[chosen],
            valid=valid,
            index=positions.astype(np.int32),
            tissue=patches.tissue[chosen],
        )
