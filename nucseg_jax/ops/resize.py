"""Bilinear magnification with half-pixel centres (Keras UpSampling2D(interpolation="bilinear"))."""

import jax


def resize_bilinear(image: jax.Array, height: int, width: int) -> jax.Array:
    """Resamples [N, H, W, C] to [N, height, width, C], edges clamped; meant for magnification.

    Interpolation weights sum to one at every output pixel, so the operation commutes with a 1x1 convolution
    and keeps constants.
    """
    return jax.image.resize(
        image, (image.shape[0], height, width, image.shape[3]), "bilinear", antialias=False
    )
