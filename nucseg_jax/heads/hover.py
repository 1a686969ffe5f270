"""Horizontal and vertical distances to the centre of each nucleus (HoVer-Net: Graham et al. 2019, arXiv:1812.06499).

Both maps go from -1 at a nucleus's left or upper edge over 0 at its centre to 1 at the other edge, and are 0 in the
background. Where two nuclei touch they jump from 1 to -1, which parts them.
"""

import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.heads.instances import largest_by_nucleus, sum_by_nucleus
from nucseg_jax.heads.interfaces import Head
from nucseg_jax.ops.symmetries import Symmetry

GRADIENT_PX = 5


def hover_targets(instance: jax.Array) -> jax.Array:
    """Computes the maps of annotated nuclei; section 3.1 of the paper, the centre being the mean of a nucleus's pixels.

    Args:
      instance: int32 [N, H, W], 0 = background.

    Returns:
      float32 [N, H, W, 3]: horizontal and vertical map, -1..1, and 1 inside nuclei.
    """
    is_nucleus = instance > 0
    pixels = sum_by_nucleus(jnp.ones(instance.shape, jnp.float32), instance)
    maps = []
    for axis in (2, 1):
        coordinate = jax.lax.broadcasted_iota(jnp.float32, instance.shape, axis)
        off_centre = coordinate - sum_by_nucleus(coordinate, instance) / pixels
        # A nucleus of one row has no extent in the other direction.
        extent = jnp.where(
            off_centre > 0,
            largest_by_nucleus(off_centre, instance),
            largest_by_nucleus(-off_centre, instance),
        )
        maps.append(jnp.where(is_nucleus, off_centre / jnp.where(extent > 0, extent, 1.0), 0.0))
    return jnp.stack([*maps, is_nucleus.astype(jnp.float32)], axis=-1)


def transform_hover(maps: jax.Array, symmetry: Symmetry) -> jax.Array:
    """Changes the directions of the maps as a symmetry of the image does: a `MapTransform`.

    A flip of columns changes the sign of the horizontal map, one of rows that of the vertical map; a transposition
    exchanges both.

    Args:
      maps: floating [..., 2].
      symmetry: one for all examples; `transposed` is a Python boolean.
    """
    horizontal, vertical = maps[..., 0], maps[..., 1]
    horizontal = jnp.where(symmetry.columns, -horizontal, horizontal)
    vertical = jnp.where(symmetry.rows, -vertical, vertical)
    return jnp.stack([vertical, horizontal] if symmetry.transposed else [horizontal, vertical], axis=-1)


def hover_mse(maps: jax.Array, targets: jax.Array, valid_px: jax.Array | None = None) -> jax.Array:
    """Computes the mean squared error of both maps over all annotated pixels (eq. 2 of the paper).

    Args:
      maps: float32 [N, H, W, 2].
      targets: float32 [N, H, W, 3], of `hover_targets`.
      valid_px: as in `ops.losses`.

    Returns:
      float32 [N].
    """
    error = jnp.mean(jnp.square(maps - targets[..., :2]), axis=-1)
    return _mean(error, jnp.ones_like(error, bool) if valid_px is None else valid_px)


def hover_gradient(maps: jax.Array, targets: jax.Array, valid_px: jax.Array | None = None) -> jax.Array:
    """Computes the mean squared error of the maps' derivatives inside nuclei (eq. 3 of the paper).

    Of the horizontal map along x, of the vertical one along y, by the 5 x 5 kernels x / (x^2 + y^2) and its transpose;
    arguments and result as in `hover_mse`, 0 for an image without a nucleus.
    """
    difference = maps - targets[..., :2]
    if valid_px is not None:
        difference = jnp.where(valid_px[..., None], difference, 0.0)
    inside = targets[..., 2] > 0
    error = jnp.mean(jnp.square(_derivatives(difference)), axis=-1)
    return _mean(error, inside if valid_px is None else inside & valid_px)


def _mean(values: jax.Array, counted: jax.Array) -> jax.Array:
    number = jnp.maximum(jnp.sum(counted, axis=(1, 2)), 1)
    return jnp.sum(jnp.where(counted, values, 0.0), axis=(1, 2)) / number


def _derivatives(maps: jax.Array) -> jax.Array:
    """Derivatives of channel 0 along x and of channel 1 along y: float32 [N, H, W, 2]; 0 lies outside the image."""
    offset: np.ndarray = np.arange(GRADIENT_PX) - GRADIENT_PX // 2
    squared = offset[:, None] ** 2 + offset[None] ** 2
    along_x = np.where(squared > 0, offset[None] / np.maximum(squared, 1), 0.0)
    kernel = jnp.asarray(np.stack([along_x, along_x.T], axis=-1)[:, :, None], maps.dtype)
    return jax.lax.conv_general_dilated(
        maps,
        kernel,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=2,
        precision=jax.lax.Precision.HIGHEST,
    )


HOVER = Head(
    "HoVer",
    ("horizontal", "vertical"),
    hover_targets,
    transform_hover,
    {"hover_mse_loss": hover_mse, "hover_gradient_loss": hover_gradient},
)
