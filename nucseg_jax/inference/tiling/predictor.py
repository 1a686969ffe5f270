"""A model as a compiled function from tiles to probabilities."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nucseg_jax.core.errors import UserError
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.ops.outputs import predicted_channels


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Tiles to probabilities, one compiled program; make one and keep it.

    Attributes:
      step: from `compile_predictor`.
      variables: of the model, on every device.
      tile_px: T.
      batch_size: N, a multiple of the devices.
      channels: F + M, the foreground classes and the maps of the instance head.
      map_channels: M.
    """

    step: jax.stages.Wrapped
    variables: Any
    tile_px: int
    batch_size: int
    channels: int
    map_channels: int = 0

    def start(self, tiles: Sequence[np.ndarray]) -> jax.Array:
        """Starts on up to N tiles, uint8 [T, T, 3] each; returns immediately.

        Returns:
          float32 [N, T, T, F + M], on the devices: the probability of each foreground class, 0..1, then the maps of the
          instance head; what follows the last tile is of no meaning.
        """
        batch: np.ndarray = np.zeros((self.batch_size, self.tile_px, self.tile_px, 3), np.uint8)
        for index, tile in enumerate(tiles):
            batch[index] = tile
        return self.step(self.variables, batch)


def make_predictor(
    model: Segmenter, variables: Any, mesh: Mesh, *, num_classes: int, tile_px: int, batch_size: int
) -> Predictor:
    """A predictor whose batches are split over all devices of a mesh.

    Args:
      model: a `Segmenter`.
      variables: of the model.
      mesh: the devices.
      num_classes: C; F = 1 for 1, else C - 1.
      tile_px: T.
      batch_size: wanted; rounded up to a multiple of the devices.

    Raises:
      UserError: a batch size below 1.
    """
    if batch_size < 1:
        raise UserError(f"the batch size is {batch_size}", expected="1 or more")
    everywhere = NamedSharding(mesh, PartitionSpec())
    examples = NamedSharding(mesh, PartitionSpec(mesh.axis_names))

    def step(variables: Any, image: jax.Array) -> jax.Array:
        outputs: Any = model.apply(variables, image, train=False, method="outputs")
        return predicted_channels(outputs)

    return Predictor(
        step=jax.jit(step, in_shardings=(everywhere, examples), out_shardings=examples),
        variables=jax.device_put(variables, everywhere),
        tile_px=tile_px,
        batch_size=-(-batch_size // mesh.size) * mesh.size,
        channels=max(1, num_classes - 1) + model.map_channels,
        map_channels=model.map_channels,
    )
