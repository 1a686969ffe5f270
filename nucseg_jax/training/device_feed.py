"""The device feed: all training patches wait in the devices' memory, and a step gets nothing but numbers."""

from collections.abc import Iterator

import jax
import numpy as np
from flax import struct
from jax.sharding import Mesh

from nucseg_jax.config.train import Crops, Store
from nucseg_jax.core.arrays import Array
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.order import epoch_order, random_corners, tile_place
from nucseg_jax.data.patch_store import PatchStore
from nucseg_jax.runtime.mesh import examples_devices, examples_sharded, replicated, tickets_sharded
from nucseg_jax.runtime.placement import put
from nucseg_jax.training.feed import TrainingFeed
from nucseg_jax.training.schedule import Schedule, dispatch_sizes


class DevicePatches(struct.PyTreeNode):
    """Training patches on the mesh, in the order of the training list.

    Attributes:
      image: uint8 [P, S, S, 3]; S = the data set's `patch_px`.
      label: uint8 [P, S, S].
      group: int32 [P].
      instance: uint16 [P, S, S]; None where the model has no instance head.
    """

    image: Array
    label: Array
    group: Array
    instance: Array | None = None


def put_patches(patches: PatchStore, rows: np.ndarray, mesh: Mesh, *, store: Store) -> DevicePatches:
    """Moves patches to the mesh.

    Args:
      patches: where they are taken from.
      rows: int [P], rows of `patches`.
      mesh: the devices.
      store: 'replicated', or 'sharded': split as examples are, filled up with repeats that no ticket names.
    """
    is_sharded = store == "sharded"
    if is_sharded:
        parts = examples_devices(mesh)
        rows = np.resize(rows, -(-len(rows) // parts) * parts)
    taken = patches.take(rows)
    on_host = DevicePatches(image=taken.image, label=taken.label, group=taken.group, instance=taken.instance)
    return put(on_host, examples_sharded(mesh) if is_sharded else replicated(mesh))


def cut_tiles(
    source: DevicePatches,
    example: jax.Array,
    *,
    tile_px: int,
    patch_count: int | None = None,
    corner: jax.Array | None = None,
) -> Batch[jax.Array]:
    """Returns the batch of these examples, int32 [B]; see `data.order` for what the numbers mean.

    `patch_count` is the length of the training list, needed where tiles are drawn with replacement; `corner` has top
    and left of each tile, int32 [B, 2], where they are not cut by the grid.

    Slices of a batch become one gather of whole tiles: as quick as copying memory on CPU, and with sharded
    patches each device gathers what it has (single slices would first gather all patches everywhere).
    """

    def cut(pixels: Array, patch: jax.Array, top: jax.Array, left: jax.Array) -> jax.Array:
        corner: tuple[jax.Array | int, ...] = (patch, top, left, *(0,) * (pixels.ndim - 3))
        return jax.lax.dynamic_slice(pixels, corner, (1, tile_px, tile_px, *pixels.shape[3:]))[0]

    patch, top, left = tile_place(
        example, patch_px=source.image.shape[1], tile_px=tile_px, patch_count=patch_count
    )
    if corner is not None:
        top, left = corner.T
    cut_each = jax.vmap(cut, in_axes=(None, 0, 0, 0))
    return Batch(
        image=cut_each(source.image, patch, top, left),
        label=cut_each(source.label, patch, top, left),
        # All are; but a constant would be folded into the step, which would then sum in another order than with the
        # host feed's batches (XLA drops optimization barriers on CPU before it fuses).
        valid=example >= 0,
        index=example,
        group=source.group[patch],
        instance=None if source.instance is None else cut_each(source.instance, patch, top, left),
    )


def device_feed(
    patches: PatchStore,
    rows: np.ndarray,
    *,
    patch_px: int,
    tile_px: int,
    batch_size: int,
    seed: int,
    schedule: Schedule,
    steps_per_dispatch: int,
    store: Store,
    mesh: Mesh,
    probability: np.ndarray | None = None,
    crops: Crops = "grid",
) -> TrainingFeed[DevicePatches, jax.Array]:
    """Moves the training patches to the mesh; see `feed.TrainingFeed`.

    Args:
      patches: where they are taken from, once.
      rows: int [P], rows of `patches` to train on.
      patch_px, tile_px, batch_size, seed: of the order of examples, see `data.order.epoch_order`.
      schedule, steps_per_dispatch: how steps are grouped.
      store: 'replicated' or 'sharded', see `put_patches`.
      mesh: the devices.
      probability: of the order of examples too.
      crops: 'grid', or 'random': tiles are cut anywhere in their patches, and a ticket is a row for each example of
        number, top and left.
    """
    # Without replacement no number needs the remainder, and the program stays without it.
    patch_count = None if probability is None else len(rows)

    def fetch(source: DevicePatches, ticket: jax.Array) -> Batch[jax.Array]:
        example, corner = (ticket, None) if crops == "grid" else (ticket[:, 0], ticket[:, 1:])
        return cut_tiles(source, example, tile_px=tile_px, patch_count=patch_count, corner=corner)

    def tickets(epoch: int, first_step: int) -> Iterator[jax.Array]:
        order = epoch_order(
            len(rows),
            patch_px=patch_px,
            tile_px=tile_px,
            batch_size=batch_size,
            seed=seed,
            epoch=epoch,
            probability=probability,
        )
        if crops == "random":
            corners = random_corners(order, patch_px=patch_px, tile_px=tile_px, seed=seed, epoch=epoch)
            order = np.concatenate([order[..., None], corners], axis=-1)
        step = first_step
        for size in dispatch_sizes(schedule, steps_per_dispatch, epoch=epoch, first_step=first_step):
            yield put(order[step : step + size], tickets_sharded(mesh))
            step += size

    return TrainingFeed("device", put_patches(patches, rows, mesh, store=store), fetch, tickets)
