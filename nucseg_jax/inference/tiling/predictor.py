"""A model as a compiled function from tiles to probabilities."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nucseg_jax.core.errors import UserError
from nucseg_jax.heads.interfaces import Head
from nucseg_jax.heads.table import HEADS
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.models.views import compile_mean_of_views
from nucseg_jax.ops.outputs import Outputs, predicted_channels
from nucseg_jax.ops.symmetries import check_views


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Tiles to probabilities, compiled; make one and keep it.

    Attributes:
      step: variables and images, uint8 [N, T, T, 3], to what `start` returns.
      variables: of the model, on every device.
      tile_px: T.
      batch_size: N, a multiple of the devices.
      channels: F + M, the foreground classes and the maps of the instance head.
      map_channels: M.
    """

    step: Callable[[Any, Any], jax.Array]
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
    model: Segmenter,
    variables: Any,
    mesh: Mesh,
    *,
    num_classes: int,
    tile_px: int,
    batch_size: int,
    head: Head = HEADS["none"],
    views: int = 1,
) -> Predictor:
    """A predictor whose batches are split over all devices of a mesh.

    Args:
      model: a `Segmenter`.
      variables: of the model.
      mesh: the devices.
      num_classes: C; F = 1 for 1, else C - 1.
      tile_px: T.
      batch_size: rounded up to a multiple of the devices.
      head: the model's; not looked at with one view.
      views: 1, or 8 = the mean over the symmetries of each tile, see `models.views`.

    Raises:
      UserError: a batch size below 1, or another number of views.
    """
    if batch_size < 1:
        raise UserError(f"the batch size is {batch_size}", expected="1 or more")
    check_views(views)
    everywhere = NamedSharding(mesh, PartitionSpec())
    examples = NamedSharding(mesh, PartitionSpec(mesh.axis_names))

    def outputs_of(variables: Any, image: jax.Array) -> Outputs:
        outputs: Any = model.apply(variables, image, train=False, method="outputs")
        return outputs

    def of_one_view(variables: Any, image: jax.Array) -> jax.Array:
        return predicted_channels(outputs_of(variables, image))

    step: Callable[[Any, Any], jax.Array]
    if views == 1:
        step = jax.jit(of_one_view, in_shardings=(everywhere, examples), out_shardings=examples)
    else:
        mean_of_views = compile_mean_of_views(outputs_of, head, examples)
        channels = jax.jit(predicted_channels, out_shardings=examples)

        def step(variables: Any, image: Any) -> jax.Array:
            return channels(mean_of_views(variables, image))

    return Predictor(
        step=step,
        variables=jax.device_put(variables, everywhere),
        tile_px=tile_px,
        batch_size=-(-batch_size // mesh.size) * mesh.size,
        channels=max(1, num_classes - 1) + model.map_channels,
        map_channels=model.map_channels,
    )
