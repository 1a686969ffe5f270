"""The device mesh: which axis splits what.

| axis    | splits                                                                                     |
|---------|--------------------------------------------------------------------------------------------|
| `data`  | the examples of a batch                                                                    |
| `fsdp`  | the examples too, and parameters, optimizer state and batch statistics (`state_sharded`)     |
| `space` | the rows of images; the compiler exchanges what convolutions need of the neighbours' rows    |

The mathematics are those of one device: batch norm sees the whole batch, and only the order of sums differs.
"""

import itertools
import math
from collections.abc import Sequence
from typing import TypeVar

import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nucseg_jax.core.arrays import Array
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.batch import Batch

AXES = ("data", "fsdp", "space")
EXAMPLES = ("data", "fsdp")
# Smaller arrays are on every device: to gather them would cost more than they take.
LEAST_SHARDED_VALUES = 4096
# Of the deepest features, where image rows are split: one more than the widest kernel has.
LEAST_SPLIT_ROWS = 8

# A tree of arrays, or of what has their place.
State = TypeVar("State")


def make_mesh(data: int = 0, fsdp: int = 1, space: int = 1, *, batch_sizes: Sequence[int] = ()) -> Mesh:
    """Makes a mesh of `data` x `fsdp` x `space` devices.

    Args:
      data: 0 = as many as there are devices for and as divide the batches.
      fsdp, space: at least 1.
      batch_sizes: examples that are split over `data` x `fsdp`.

    Raises:
      UserError: more devices than there are, some that belong to another process left out, or a batch that
        cannot be split evenly.
    """
    available = jax.device_count()
    most = available // (fsdp * space)
    divisors = [n for n in range(1, most + 1) if not any(size % (n * fsdp) for size in batch_sizes)]
    # Where nothing divides the batches, the check below refuses it.
    chosen = data or max(divisors, default=most)
    shape = (chosen, fsdp, space)
    if not 1 <= math.prod(shape) <= available:
        raise UserError(
            f"the mesh is data={data or 'all'} x fsdp={fsdp} x space={space},"
            f" JAX sees {available} {jax.default_backend()} {'device' if available == 1 else 'devices'}",
            expected=f"data x fsdp x space of at most {available}, such as {_products(available)}",
        )
    for size in batch_sizes:
        if size < 1 or size % (chosen * fsdp):
            raise UserError(
                f"a batch of {size} cannot be split over data={chosen} x fsdp={fsdp} devices",
                expected=f"train.batch_size and eval.batch_size that are multiples of {chosen * fsdp}",
                advice="change the batch sizes, or use fewer devices with --config.mesh.data=N",
            )
    if jax.process_count() > 1 and math.prod(shape) != available:
        raise UserError(
            f"the mesh has {math.prod(shape)} devices, the {jax.process_count()} processes have {available}",
            expected=f"all devices of all processes: one of {_products(available)}",
            advice="choose batch sizes and mesh axes that take all of them",
        )
    devices = jax.devices()[: math.prod(shape)]
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices)


def _products(devices: int) -> str:
    """'8 x 1 x 1, 4 x 2 x 1, ...': every data x fsdp x space that takes all devices."""
    divisors = [n for n in range(devices, 0, -1) if devices % n == 0]
    shapes = [s for s in itertools.product(divisors, repeat=len(AXES)) if math.prod(s) == devices]
    return ", ".join(" x ".join(map(str, shape)) for shape in shapes)


def examples_devices(mesh: Mesh) -> int:
    """Into how many parts the examples of a batch are split."""
    return math.prod(mesh.shape[axis] for axis in EXAMPLES)


def check_rows(px: int, output_stride: int, mesh: Mesh) -> None:
    """Raises UserError unless the deepest features of an image of `px` rows can be split over 'space'.

    Where a kernel reaches over all of their rows, XLA's partitioner multiplies the gradient by the number of parts that
    the batch is split into (jaxlib 0.10: 3x3 on 2 rows, 5x5 on 4); no kernel of the encoders is wider than 7.
    """
    rows, space = px // output_stride, mesh.shape["space"]
    if space > 1 and rows < LEAST_SPLIT_ROWS:
        raise UserError(
            f"mesh.space is {space}; an image of {px} px has {counted(rows, 'row')} at output stride {output_stride}",
            expected=f"{LEAST_SPLIT_ROWS} rows or more, {LEAST_SPLIT_ROWS * output_stride} px: with fewer the gradients"
            " would be wrong",
            advice="set --config.mesh.space=1, or larger tiles",
        )
    if rows % space:
        raise UserError(
            f"mesh.space is {space}; an image of {px} px has {counted(rows, 'row')} at output stride {output_stride}",
            expected="a divisor of " + str(rows),
            advice="set --config.mesh.space=N",
        )


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, P())


def examples_sharded(mesh: Mesh) -> NamedSharding:
    """The leading axis split over 'data' and 'fsdp'."""
    return NamedSharding(mesh, P(EXAMPLES))


def tickets_sharded(mesh: Mesh) -> NamedSharding:
    """Leading axis: the steps of a dispatch. Second axis: examples, split."""
    return NamedSharding(mesh, P(None, EXAMPLES))


def batch_sharded(mesh: Mesh) -> Batch[NamedSharding]:
    """A batch's shardings: examples split, rows of images and labels split over 'space'."""
    return _batch_sharded(mesh)


def dispatch_sharded(mesh: Mesh) -> Batch[NamedSharding]:
    """The shardings of a dispatch's batches, whose leading axis is the steps."""
    return _batch_sharded(mesh, None)


def _batch_sharded(mesh: Mesh, *leading: None) -> Batch[NamedSharding]:
    pixels = NamedSharding(mesh, P(*leading, EXAMPLES, "space"))
    examples = NamedSharding(mesh, P(*leading, EXAMPLES))
    return Batch(image=pixels, label=pixels, valid=examples, index=examples, group=examples, instance=pixels)


def state_sharded(state: State, mesh: Mesh) -> State:
    """Returns a sharding in the place of each array of a state or of variables, by its shape alone.

    An array of `LEAST_SHARDED_VALUES` and more is split over 'fsdp' along its longest axis that can be divided
    evenly; of equally long ones the last. All others are on every device.

    Args:
      state: a tree of whatever has a `shape`.
      mesh: the devices.
    """
    fsdp = mesh.shape["fsdp"]

    def sharding(leaf: Array | jax.ShapeDtypeStruct) -> NamedSharding:
        divisible = [axis for axis, length in enumerate(leaf.shape) if length % fsdp == 0]
        if fsdp == 1 or not divisible or math.prod(leaf.shape) < LEAST_SHARDED_VALUES:
            return replicated(mesh)
        split = max(divisible, key=lambda axis: (leaf.shape[axis], axis))
        return NamedSharding(mesh, P(*(None,) * split, "fsdp"))

    shardings: State = jax.tree.map(sharding, state)
    return shardings


def keep_state_sharded(state: State, mesh: Mesh) -> State:
    """Inside a jitted function: the same state, laid out by `state_sharded`."""
    kept: State = jax.lax.with_sharding_constraint(state, state_sharded(state, mesh))
    return kept
