"""An encoder that the first steps leave alone: random layers behind a pretrained encoder would disturb it.

Updates alone are held back. Adam's moments follow the gradients all along: from zero, under a step count of thousands,
they would make the first updates about three times too large. Batch norm works as in the rest of training, so that the
model sees no jump when its encoder begins to move.
"""

import jax
import jax.numpy as jnp

from nucseg_jax.core.arrays import Array, Tree
from nucseg_jax.core.tree import mask_by_name


def hold_encoder(updates: Tree, step: Array, *, steps: int) -> Tree:
    """Returns the updates with those of the encoder 0 before step `steps`.

    Args:
      updates: of `params`.
      step: int32 [], counted from 0.
      steps: that leave the encoder as it is.
    """
    is_held = mask_by_name(updates, lambda name: name.startswith("encoder/"))
    held: Tree = jax.tree.map(
        lambda update, of_encoder: jnp.where(step < steps, 0.0, update) if of_encoder else update,
        updates,
        is_held,
    )
    return held
