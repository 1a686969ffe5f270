"""Preprocessing of raw RGB inside encoders, so that users always feed 0..255."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """(image / divisor - mean) / standard_deviation, channel by channel.

    Attributes:
      channel_order: 'RGB', or 'BGR' for networks that take blue first; mean and deviation follow it.
      divisor: brings 0..255 to the scale of mean and deviation.
      mean, standard_deviation: one number a channel.
    """

    channel_order: Literal["RGB", "BGR"]
    divisor: float
    mean: tuple[float, float, float]
    standard_deviation: tuple[float, float, float]


# keras.applications, mode 'caffe': ResNet v1.
CAFFE = Preprocessing("BGR", 1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
# Mean and standard deviation of ImageNet: torchvision, and what EfficientNets have inside.
IMAGENET = Preprocessing("RGB", 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def preprocess(image: jax.Array, preprocessing: Preprocessing) -> jax.Array:
    """Raw floating RGB [N, H, W, 3], 0..255, as a network expects it; same shape and dtype."""
    if preprocessing.channel_order == "BGR":
        image = image[..., ::-1]
    mean, deviation = (
        jnp.asarray(values, image.dtype).reshape(1, 1, 1, 3)
        for values in (preprocessing.mean, preprocessing.standard_deviation)
    )
    return (image / preprocessing.divisor - mean) / deviation
