"""The seam of instance heads: what a new one has to bring."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from nucseg_jax.ops.losses import Loss
from nucseg_jax.ops.symmetries import Symmetry

# From instance ids, int32 [N, H, W], 0 = background, to target maps, float32 [N, H, W, M + 1]; the last channel is 1
# inside nuclei, else 0.
Targets = Callable[[jax.Array], jax.Array]
# From values of maps, floating [..., M], and a symmetry of the image, to the values after it; no pixel moves.
MapTransform = Callable[[jax.Array, Symmetry], jax.Array]


def keep_values(maps: jax.Array, symmetry: Symmetry) -> jax.Array:
    """Returns maps whose values no symmetry changes, such as distances; a `MapTransform`."""
    del symmetry
    return maps


@dataclasses.dataclass(frozen=True)
class Head:
    """A row of `table.HEADS`.

    Attributes:
      title: the head's usual spelling, for people.
      maps: names of the maps, the channels beside the logits; () = no instance head.
      targets: the maps that a perfect model gives; computed on the device after augmentation, so that they are right
        under every augmentation.
      transform_maps: the change of the maps' values where the image is flipped or turned: none of distances, signs and
        places of directions. `targets` of a moved image are the moved targets with this change.
      losses: {name of a loss term: `loss(maps, targets, valid_px)` -> float32 [N]}; names end in `_loss`.
    """

    title: str
    maps: tuple[str, ...]
    targets: Targets
    transform_maps: MapTransform
    losses: Mapping[str, Loss]

    def target_maps(self, instance: jax.Array | None) -> jax.Array | None:
        """Computes the targets of a batch; None without maps.

        Args:
          instance: uint16 [N, H, W], 0 = background; not looked at without maps.

        Raises:
          ValueError: there are maps, and no instance ids.
        """
        if not self.maps:
            return None
        if instance is None:
            raise ValueError(f"the instance head {self.title} needs instance ids, and the batch has none")
        return self.targets(instance.astype(jnp.int32))
