"""The host feed: batches are read and cut on the host, ahead of the step that needs them."""

import itertools
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.config.train import Crops
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.batches import training_batches
from nucseg_jax.data.patch_store import PatchStore
from nucseg_jax.runtime.mesh import dispatch_sharded
from nucseg_jax.runtime.placement import held_examples, put_held
from nucseg_jax.training.feed import TrainingFeed
from nucseg_jax.training.schedule import Schedule, dispatch_sizes


def host_feed(
    patches: PatchStore,
    rows: np.ndarray,
    *,
    patch_px: int,
    tile_px: int,
    batch_size: int,
    seed: int,
    schedule: Schedule,
    steps_per_dispatch: int,
    mesh: Mesh,
    probability: np.ndarray | None = None,
    crops: Crops = "grid",
) -> TrainingFeed[tuple[()], Batch[jax.Array]]:
    """Batches from patches that may be more than memory holds; see `feed.TrainingFeed`.

    Args:
      patches: where they are taken from, step by step.
      rows: int [P], rows of `patches` to train on.
      patch_px, tile_px, batch_size, seed: of the order of examples, see `data.order.epoch_order`.
      schedule, steps_per_dispatch: how steps are grouped.
      mesh: the devices.
      probability: of the order of examples too.
      crops: 'grid' or 'random', see `data.batches.training_batches`.
    """
    held = held_examples(mesh, batch_size)

    def fetch(source: tuple[()], ticket: Batch[jax.Array]) -> Batch[jax.Array]:
        del source
        return ticket

    def tickets(epoch: int, first_step: int) -> Iterator[Batch[jax.Array]]:
        batches = training_batches(
            patches,
            rows,
            patch_px=patch_px,
            tile_px=tile_px,
            batch_size=batch_size,
            seed=seed,
            epoch=epoch,
            first_step=first_step,
            held=held,
            probability=probability,
            crops=crops,
        )
        for size in dispatch_sizes(schedule, steps_per_dispatch, epoch=epoch, first_step=first_step):
            steps = itertools.islice(batches, size)
            stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *steps)
            yield put_held(stacked, dispatch_sharded(mesh), axis=1, examples=batch_size)

    return TrainingFeed("host", (), fetch, tickets)
