"""The seam of instance heads: what a new one has to bring."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from nucseg_jax.ops.losses import Loss

# From instance ids, int32 [N, H, W], 0 = background, to target maps, float32 [N, H, W, M + 1]; the last channel is 1
# inside nuclei, else 0.
Targets = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Head:
    """A row of `table.HEADS`.

    Attributes:
      title: the head's usual spelling, for people.
      maps: names of the maps, the channels beside the logits; () = no instance head.
      targets: the maps that a perfect model gives; computed on the device after augmentation, so that they are right
        under every augmentation.
      losses: {name of a loss term: `loss(maps, targets, valid_px)` -> float32 [N]}; names end in `_loss`.
    """

    title: str
    maps: tuple[str, ...]
    targets: Targets
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
