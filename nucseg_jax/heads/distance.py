"""Distance to the edge of each nucleus, as a share of the largest one in it.

The map is 1 at the middle of a nucleus, falls towards its edge and is 0 in the background; between two nuclei that
touch lies a valley (Naylor et al. 2019, doi:10.1109/TMI.2018.2865709, with a distance of its own for each nucleus).
"""

import jax
import jax.numpy as jnp

from nucseg_jax.heads.instances import largest_by_nucleus, squared_distance_to_others
from nucseg_jax.heads.interfaces import Head, keep_values


def distance_targets(instance: jax.Array) -> jax.Array:
    """Computes the map of annotated nuclei.

    The distance of a pixel is that to the nearest pixel of another nucleus or of the background; the edge of the image
    is no border, so that a nucleus that it cuts is deepest where it is cut.

    Args:
      instance: int32 [N, H, W], 0 = background.

    Returns:
      float32 [N, H, W, 2]: the map, above 0 and at most 1 in nuclei; and 1 inside nuclei.
    """
    is_nucleus = instance > 0
    distance = jnp.sqrt(squared_distance_to_others(instance))
    share = distance / largest_by_nucleus(distance, instance)
    # A nucleus that fills the image is as far from any edge everywhere.
    share = jnp.where(jnp.isfinite(distance), share, 1.0)
    return jnp.stack([jnp.where(is_nucleus, share, 0.0), is_nucleus.astype(jnp.float32)], axis=-1)


def distance_mse(maps: jax.Array, targets: jax.Array, valid_px: jax.Array | None = None) -> jax.Array:
    """Computes the mean squared error over all annotated pixels.

    Args:
      maps: float32 [N, H, W, 1].
      targets: float32 [N, H, W, 2], of `distance_targets`.
      valid_px: as in `ops.losses`.

    Returns:
      float32 [N].
    """
    error = jnp.square(maps[..., 0] - targets[..., 0])
    if valid_px is None:
        return jnp.mean(error, axis=(1, 2))
    number = jnp.maximum(jnp.sum(valid_px, axis=(1, 2)), 1)
    return jnp.sum(jnp.where(valid_px, error, 0.0), axis=(1, 2)) / number


DISTANCE = Head("distance", ("distance",), distance_targets, keep_values, {"distance_mse_loss": distance_mse})
