"""Upsampling of [N, H, W, C]: bilinear, and nearest by whole factors."""

import jax
import jax.numpy as jnp


def resize_bilinear(image: jax.Array, height: int, width: int) -> jax.Array:
    """Resamples to [N, height, width, C], half-pixel centres, edges clamped; meant for upsampling.

    The same as Keras's UpSampling2D(interpolation="bilinear"). One matrix product an axis, forward and backward.
    Interpolation weights sum to one at every output pixel, so the operation commutes with a 1x1 convolution
    and keeps constants.
    """
    resized: jax.Array = jax.image.resize(
        image, (image.shape[0], height, width, image.shape[3]), "bilinear", antialias=False
    )
    return resized


def upsample_nearest(image: jax.Array, factor: int) -> jax.Array:
    """Every pixel as a block of factor x factor: [N, H, W, C] to [N, H * factor, W * factor, C].

    Broadcast and reshaped: the gradient is a sum, where that of `jax.image.resize` is a scatter.
    """
    N, H, W, C = image.shape
    blocks = jnp.broadcast_to(image[:, :, None, :, None], (N, H, factor, W, factor, C))
    return blocks.reshape(N, H * factor, W * factor, C)
