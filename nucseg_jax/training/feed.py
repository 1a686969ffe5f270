"""Batches for a training step: the contract that the device feed and the host feed fulfil.

A step of B examples, K steps a dispatch: the loop hands the compiled program a `source`, the same at every call,
and `tickets`, leaves [K, ...]. Inside the program, step k calls `fetch(source, ticket k)` and has its batch.

|        | source                               | a ticket            | fetch                        |
|--------|--------------------------------------|---------------------|------------------------------|
| device | patches, image uint8 [P,S,S,3], ..   | example numbers [B] | cuts tiles out of the source |
| host   | ()                                   | the batch itself    | gives the ticket back        |
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Literal, TypeVar

import jax
from jax.sharding import Mesh

from nucseg_jax.data.batch import Batch

# Pytrees of arrays on the mesh; the head of the file has those of each feed.
Source = TypeVar("Source")
Ticket = TypeVar("Ticket")

FeedName = Literal["device", "host"]
# Of a device's memory: what patches may take and leave enough for weights and activations.
DEVICE_SHARE = 0.25
ACCELERATOR_STEPS_PER_DISPATCH = 8


@dataclasses.dataclass(frozen=True)
class TrainingFeed(Generic[Source, Ticket]):
    """A feed bound to its data, order and mesh.

    Attributes:
      name: 'device' or 'host'.
      source: pytree on the mesh that every dispatch is given.
      fetch: pure, under jit: `fetch(source, ticket)` -> a step's batch.
      tickets: (epoch, first step within it) -> the tickets of the epoch's other steps on the mesh, one item a
        dispatch, every leaf with a leading axis K. All that they depend on is the seed and these two numbers.
    """

    name: FeedName
    source: Source
    fetch: Callable[[Source, Ticket], Batch[jax.Array]]
    tickets: Callable[[int, int], Iterator[Ticket]]


def resolved_steps_per_dispatch(asked: int, mesh: Mesh) -> int:
    """`asked`, or for 0 what suits the devices: 1 on CPU, 8 elsewhere."""
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    return asked or (1 if on_cpu else ACCELERATOR_STEPS_PER_DISPATCH)


def fits_device(bytes_on_each: int, devices: Sequence[jax.Device]) -> bool:
    """Returns True if so much fits `DEVICE_SHARE` of each device's memory, or if a device does not report it (CPU)."""
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    return all(limit is None or bytes_on_each <= DEVICE_SHARE * limit for limit in limits)
