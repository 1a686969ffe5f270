"""Batches on the host: shuffled tiles for training, whole patches once each for evaluation."""

from collections.abc import Callable, Iterator

import numpy as np

from nucseg_jax.config.train import Crops
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.order import epoch_order, random_corners, tile_place
from nucseg_jax.data.patch_store import Patches, PatchStore
from nucseg_jax.data.read_ahead import read_ahead

# Parts this draw from those of an epoch's order.
_SHUFFLED = 2


def training_batches(
    patches: PatchStore,
    rows: np.ndarray,
    *,
    patch_px: int,
    tile_px: int,
    batch_size: int,
    seed: int,
    epoch: int,
    first_step: int = 0,
    held: np.ndarray | None = None,
    probability: np.ndarray | None = None,
    crops: Crops = "grid",
) -> Iterator[Batch[np.ndarray]]:
    """The batches of one epoch.

    Args:
      patches: where they are taken from.
      rows: int [P], rows of `patches` to train on.
      patch_px: side of a patch.
      tile_px: side of a tile, divides `patch_px`.
      batch_size: examples a batch.
      seed, epoch: what the order depends on, beside `probability`.
      first_step: number of batches of this epoch to skip.
      held: int [N], which of a batch's examples this process needs, where several processes share one; None = all.
      probability: float64 [P] of each row where patches are drawn with replacement; see `order.epoch_order`.
      crops: 'grid', or 'random': tiles are cut anywhere in their patches, see `order.random_corners`.

    Yields:
      `steps_per_epoch(...) - first_step` batches of numpy arrays, full or what this process needs of them; `index` is
      patch position * tiles + tile, see `data.order`.
    """
    order = epoch_order(
        len(rows),
        patch_px=patch_px,
        tile_px=tile_px,
        batch_size=batch_size,
        seed=seed,
        epoch=epoch,
        probability=probability,
    )
    corners = None
    if crops == "random":
        corners = random_corners(order, patch_px=patch_px, tile_px=tile_px, seed=seed, epoch=epoch)
    if held is not None:
        order = order[:, held]
        corners = None if corners is None else corners[:, held]

    def read(step: int) -> Batch[np.ndarray]:
        positions, tops, lefts = tile_place(
            order[step], patch_px=patch_px, tile_px=tile_px, patch_count=len(rows)
        )
        if corners is not None:
            tops, lefts = corners[step].T
        taken = patches.take(rows[positions])
        places = list(zip(range(len(tops)), tops, lefts, strict=True))

        def cut(pixels: np.ndarray) -> np.ndarray:
            return np.stack([pixels[n, y : y + tile_px, x : x + tile_px] for n, y, x in places])

        return Batch(
            image=cut(taken.image),
            label=cut(taken.label),
            valid=np.ones(len(tops), bool),
            index=order[step],
            group=taken.group,
            instance=None if taken.instance is None else cut(taken.instance),
        )

    yield from _one_after_another(patches, read, range(first_step, len(order)))


def shuffled_batches(
    patches: PatchStore, rows: np.ndarray, *, batch_size: int, seed: int, held: np.ndarray | None = None
) -> Iterator[Batch[np.ndarray]]:
    """Whole patches in full batches, in an order that `seed` alone decides; what fills no batch is left out.

    Of fewer patches than a batch has, each is repeated until they fill one.

    Args:
      patches: where they are taken from.
      rows: int [P], rows of `patches`.
      batch_size: patches a batch.
      seed: of the order.
      held: int [N], the patches of a batch that this process reads; see `training_batches`.

    Yields:
      Batches whose `index` is the position in `rows`.
    """
    order = np.random.default_rng([seed, _SHUFFLED]).permutation(len(rows))
    order = np.resize(order, max(len(order) // batch_size, 1) * batch_size).reshape(-1, batch_size)
    if held is not None:
        order = order[:, held]

    def read(number: int) -> Batch[np.ndarray]:
        positions = order[number]
        taken = patches.take(rows[positions])
        return Batch(
            image=taken.image,
            label=taken.label,
            valid=np.ones(len(positions), bool),
            index=positions.astype(np.int32),
            group=taken.group,
            instance=taken.instance,
        )

    yield from _one_after_another(patches, read, range(len(order)))


def evaluation_batches(
    patches: PatchStore, rows: np.ndarray, *, batch_size: int, held: np.ndarray | None = None
) -> Iterator[Batch[np.ndarray]]:
    """Every patch of `rows` once, whole and in order; the last batch is filled up with repeats marked invalid.

    Repeats of real patches and not zeros, so that a forward pass with batch statistics stays meaningful.

    Args:
      patches: where they are taken from.
      rows: int [P], rows of `patches`.
      batch_size: patches a batch.
      held: int [N], which of a batch's patches this process needs; see `training_batches`.
    """
    needed = np.arange(batch_size) if held is None else held

    def read(number: int) -> Batch[np.ndarray]:
        positions: np.ndarray = number * batch_size + needed
        taken = patches.take(rows[positions % len(rows)])
        return Batch(
            image=taken.image,
            label=taken.label,
            valid=positions < len(rows),
            index=positions.astype(np.int32),
            group=taken.group,
            instance=taken.instance,
        )

    yield from _one_after_another(patches, read, range(-(-len(rows) // batch_size)))


def _one_after_another(
    patches: PatchStore, read: Callable[[int], Batch[np.ndarray]], numbers: range
) -> Iterator[Batch[np.ndarray]]:
    # Threads only pay where there is something to wait for.
    yield from map(read, numbers) if isinstance(patches, Patches) else read_ahead(read, numbers)
