"""Stain normalisation of a batch on the devices, before a model sees it."""

from collections.abc import Callable

import jax
from jax.sharding import Mesh

from nucseg_jax.ops.stain_normalization.target import StainTarget
from nucseg_jax.runtime.mesh import batch_sharded, examples_sharded


def normalized_images(stain: StainTarget | None, mesh: Mesh) -> Callable[[jax.Array], jax.Array]:
    """Returns what an image goes through before the model, uint8 [N, H, W, 3]; nothing without a target."""
    if stain is None:
        return lambda image: image

    def normalized(image: jax.Array) -> jax.Array:
        # Statistics are of whole images: a device has them here, also where 'space' splits their rows.
        whole = jax.lax.with_sharding_constraint(image, examples_sharded(mesh))
        seen: jax.Array = jax.lax.with_sharding_constraint(stain.normalized(whole), batch_sharded(mesh).image)
        return seen

    return normalized
