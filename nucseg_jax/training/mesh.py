"""The device mesh: batches are split over the axis 'data', everything else is on every device."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nucseg_jax.core.errors import UserError

DATA_AXIS = "data"


def make_mesh(data: int = 0) -> Mesh:
    """A mesh over `data` devices, 0 = all that JAX sees.

    Raises:
      UserError: more devices asked for than there are.
    """
    available = jax.device_count()
    if not 0 <= data <= available:
        raise UserError(
            f"mesh.data is {data}, JAX sees {available} {jax.default_backend()} device(s)",
            expected=f"0 (all of them) or 1..{available}",
        )
    devices = np.asarray(jax.devices()[: data or available])
    return Mesh(devices, (DATA_AXIS,), axis_types=(AxisType.Auto,))


def check_batch_size(name: str, batch_size: int, mesh: Mesh) -> None:
    """Raises UserError unless the batch can be split evenly over the mesh."""
    devices = mesh.shape[DATA_AXIS]
    if batch_size < 1 or batch_size % devices:
        raise UserError(
            f"{name} is {batch_size}, the mesh has {devices} devices along 'data'",
            expected=f"a positive multiple of {devices}",
            advice="change the batch size, or use fewer devices with --config.mesh.data=N",
        )


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, P())


def batch_sharded(mesh: Mesh) -> NamedSharding:
    """The leading axis split over the devices."""
    return NamedSharding(mesh, P(DATA_AXIS))


def dispatch_sharded(mesh: Mesh) -> NamedSharding:
    """Leading axis: the steps of a dispatch. Second axis: examples, split over the devices."""
    return NamedSharding(mesh, P(None, DATA_AXIS))


def put_batch(batch: Any, mesh: Mesh) -> Any:
    """Moves a batch of numpy arrays to the mesh."""
    return jax.device_put(batch, batch_sharded(mesh))


def put_state(state: Any, mesh: Mesh) -> Any:
    """Moves a tree of numpy or jax arrays to every device of the mesh."""
    return jax.device_put(state, replicated(mesh))
