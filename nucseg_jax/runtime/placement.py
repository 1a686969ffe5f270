"""From numpy arrays to the mesh; every process places what its own devices hold, and needs no more than that."""

from typing import TypeVar, overload

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from nucseg_jax.core.arrays import Array
from nucseg_jax.data.batch import Batch
from nucseg_jax.runtime.mesh import batch_sharded, examples_sharded, state_sharded

Tree = TypeVar("Tree")


@overload
def put(tree: np.ndarray, shardings: NamedSharding) -> jax.Array: ...
@overload
def put(tree: Tree, shardings: object) -> Tree: ...
def put(tree: object, shardings: object) -> object:
    """Moves arrays that every process has whole to the mesh.

    Args:
      tree: of numpy arrays, or of jax arrays where one process runs.
      shardings: one, or a tree of them.
    """
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)
    if isinstance(shardings, NamedSharding):
        shardings = jax.tree.map(lambda _: shardings, tree)

    def place(array: Array, sharding: NamedSharding) -> jax.Array:
        whole = np.asarray(array)
        return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])

    return jax.tree.map(place, tree, shardings)


def held_examples(mesh: Mesh, count: int) -> np.ndarray:
    """Those of `count` examples that this process's devices hold, int64, ascending; all of them in a single process."""
    parts = examples_sharded(mesh).addressable_devices_indices_map((count,)).values()
    return np.unique(np.concatenate([np.arange(count)[part] for part in parts]))


def put_batch(batch: Batch[np.ndarray], mesh: Mesh, *, batch_size: int | None = None) -> Batch[jax.Array]:
    """Moves a batch to the mesh.

    Args:
      batch: numpy arrays, of the examples that `held_examples` names.
      mesh: the devices.
      batch_size: examples over all processes; None = as many as there are here.
    """
    return put_held(batch, batch_sharded(mesh), axis=0, examples=batch_size)


def put_held(
    batch: Batch[np.ndarray], shardings: Batch[NamedSharding], *, axis: int, examples: int | None
) -> Batch[jax.Array]:
    """Moves arrays of which every process has the examples that it holds to the mesh.

    Args:
      batch: or several with a leading axis.
      shardings: of its arrays.
      axis: of the examples.
      examples: over all processes; None = as many as there are here.
    """
    if jax.process_count() == 1:
        on_mesh: Batch[jax.Array] = jax.device_put(batch, shardings)
        return on_mesh

    def place(array: np.ndarray, sharding: NamedSharding) -> jax.Array:
        shape = list(array.shape)
        shape[axis] = examples or shape[axis]
        placed: jax.Array = jax.make_array_from_process_local_data(sharding, array, tuple(shape))
        return placed

    if batch.instance is None:
        shardings = shardings.replace(instance=None)
    placed: Batch[jax.Array] = jax.tree.map(place, batch, shardings)
    return placed


def put_state(state: Tree, mesh: Mesh) -> Tree:
    """Moves a state, or variables, that every process has whole to the mesh, by `mesh.state_sharded`."""
    return put(state, state_sharded(state, mesh))
