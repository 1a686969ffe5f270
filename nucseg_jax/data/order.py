"""The order of training tiles: a pure function of (seed, epoch), so a run can be taken up at any step.

A training example is a number, patch * tiles + tile, with the patch's position in the training list and the
tile's position in the patch, row by row. Where tiles are drawn with replacement, each further time that an epoch has
the same tile adds the number of all tiles, so that augmentation, which is drawn for each number, differs.
"""

from typing import TypeVar

import jax
import numpy as np

Array = TypeVar("Array", np.ndarray, jax.Array)

# Parts the draws of corners from those of the order.
_CORNERS = 1


def tiles_per_patch(patch_px: int, tile_px: int) -> int:
    """Returns how many tiles of `tile_px` a patch is cut into, without overlap.

    Raises:
      ValueError: a patch is not cut into whole tiles; `limits.check_patches` is the check for people.
    """
    if tile_px < 1 or patch_px % tile_px:
        raise ValueError(f"patches of {patch_px} px cannot be cut into tiles of {tile_px} px")
    return (patch_px // tile_px) ** 2


def tile_place(
    example: Array, *, patch_px: int, tile_px: int, patch_count: int | None = None
) -> tuple[Array, Array, Array]:
    """Returns the place where an example is cut: the patch's position in the training list, top and left in px.

    Args:
      example: integers of any shape, of NumPy or JAX.
      patch_px: side of a patch.
      tile_px: side of a tile, divides `patch_px`.
      patch_count: length of the training list, needed where tiles are drawn with replacement.

    >>> tile_place(np.int32(16 + 5), patch_px=256, tile_px=64)
    (np.int32(1), np.int32(64), np.int32(64))
    >>> tile_place(np.int32(16 + 5 + 32), patch_px=256, tile_px=64, patch_count=2)
    (np.int32(1), np.int32(64), np.int32(64))
    """
    if patch_count is not None:
        example = example % (patch_count * tiles_per_patch(patch_px, tile_px))
    patch, tile = divmod(example, tiles_per_patch(patch_px, tile_px))
    row, column = divmod(tile, patch_px // tile_px)
    return patch, row * tile_px, column * tile_px


def random_corners(order: np.ndarray, *, patch_px: int, tile_px: int, seed: int, epoch: int) -> np.ndarray:
    """Upper left corners of tiles that are cut anywhere in their patches, int32 [*order.shape, 2]: top and left in px.

    Each from 0 to patch_px - tile_px, uniformly; new ones in each epoch.

    Args:
      order: of a whole epoch, from `epoch_order`.
      patch_px: side of a patch.
      tile_px: side of a tile.
      seed, epoch: all that the corners depend on, beside the shape of `order`.
    """
    rng = np.random.default_rng([seed, epoch, _CORNERS])
    return rng.integers(patch_px - tile_px + 1, size=(*order.shape, 2), dtype=np.int32)


def steps_per_epoch(patch_count: int, *, patch_px: int, tile_px: int, batch_size: int) -> int:
    """Whole training batches in an epoch.

    The examples that do not fill a last batch are left out, another few each epoch: a short batch would
    change what batch norm sees.
    """
    return patch_count * tiles_per_patch(patch_px, tile_px) // batch_size


def epoch_order(
    patch_count: int,
    *,
    patch_px: int,
    tile_px: int,
    batch_size: int,
    seed: int,
    epoch: int,
    probability: np.ndarray | None = None,
) -> np.ndarray:
    """The examples of each batch of an epoch, int32 [`steps_per_epoch`, batch_size].

    Args:
      patch_count: length of the training list.
      patch_px: side of a patch.
      tile_px: side of a tile, divides `patch_px`.
      batch_size: examples a batch, over all devices and processes.
      seed, epoch: what the order depends on, beside `probability`.
      probability: float64 [patch_count], sums to 1: patches are drawn with replacement, each draw one tile of the
        patch at random, as many as there are tiles. None = every tile once.
    """
    steps = steps_per_epoch(patch_count, patch_px=patch_px, tile_px=tile_px, batch_size=batch_size)
    tiles = tiles_per_patch(patch_px, tile_px)
    rng, count = np.random.default_rng([seed, epoch]), patch_count * tiles
    if probability is None:
        order: np.ndarray = rng.permutation(count)
    else:
        patches = rng.choice(patch_count, size=count, p=probability)
        order = _repeats_numbered(patches * tiles + rng.integers(tiles, size=count), count)
    return order[: steps * batch_size].reshape(steps, batch_size).astype(np.int32)


def _repeats_numbered(examples: np.ndarray, count: int) -> np.ndarray:
    """Adds `count` to an example for each time that it occurred before; repeats start over where int32 ends.

    >>> _repeats_numbered(np.array([1, 0, 1, 1]), 4)
    array([1, 0, 5, 9])
    """
    by_example = np.argsort(examples, kind="stable")
    ordered = examples[by_example]
    repeat = np.empty_like(examples)
    repeat[by_example] = np.arange(len(examples)) - np.searchsorted(ordered, ordered)
    return np.asarray(examples + repeat % (2**31 // count) * count)
