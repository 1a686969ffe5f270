"""A model's outputs by name: the logits that every score is computed from, and what an instance head adds.

Without an instance head the logits are all there is. With one, a nucleus logit (sigmoid) marks nuclei, class
logits (softmax, background first) say of which class, and maps part nuclei that touch. The logits that scores and
masks are computed from are then made of the first two, so that the rule of `ops.probability` holds for every model:
the probability of any nucleus is the sigmoid of the nucleus logit, and the shares of the classes within it are those
of the softmax over the nucleus classes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nucseg_jax.ops.probability import foreground_probability


class Outputs(NamedTuple):
    """Outputs of a model for N images; C as in `models.segmenter.Segmenter`.

    Attributes:
      logits: float32 [N, H, W, C], for scores, masks and probabilities.
      nucleus: float32 [N, H, W, 1], the nucleus logit; the logits themselves without an instance head.
      classes: float32 [N, H, W, C], class logits, background first; None without an instance head or classes.
      maps: float32 [N, H, W, M], of the instance head; None without one.
    """

    logits: jax.Array
    nucleus: jax.Array
    classes: jax.Array | None = None
    maps: jax.Array | None = None


def output_channels(num_classes: int, map_channels: int) -> int:
    """Counts the channels that a model's last convolution has.

    >>> output_channels(1, 0), output_channels(6, 0), output_channels(1, 2), output_channels(6, 2)
    (1, 6, 3, 9)
    """
    if not map_channels:
        return num_classes
    return 1 + map_channels + (num_classes if num_classes > 1 else 0)


def split_outputs(channels: jax.Array, num_classes: int, map_channels: int) -> Outputs:
    """Names the channels of a model's last convolution.

    Args:
      channels: float32 [N, H, W, `output_channels(num_classes, map_channels)`]: logits; or nucleus logit, maps and,
        with classes, class logits.
      num_classes: C.
      map_channels: M, 0 = no instance head.
    """
    if not map_channels:
        return Outputs(logits=channels, nucleus=channels)
    nucleus, maps = channels[..., :1], channels[..., 1 : 1 + map_channels]
    if num_classes == 1:
        return Outputs(logits=nucleus, nucleus=nucleus, maps=maps)
    classes = channels[..., 1 + map_channels :]
    return Outputs(nucleus_and_class_logits(nucleus, classes), nucleus, classes, maps)


def nucleus_and_class_logits(nucleus: jax.Array, classes: jax.Array) -> jax.Array:
    """Computes the logits whose softmax has the nucleus logit's probability and the class logits' shares of it.

    Args:
      nucleus: float32 [N, H, W, 1].
      classes: float32 [N, H, W, C], background first; its logit has no part in the result.

    Returns:
      float32 [N, H, W, C]: 0 for background, else nucleus + log softmax of the nucleus classes.
    """
    shares = jax.nn.log_softmax(classes[..., 1:], axis=-1)
    return jnp.concatenate([jnp.zeros_like(nucleus), nucleus + shares], axis=-1)


def predicted_channels(outputs: Outputs) -> jax.Array:
    """Computes what an image is predicted by: the probability of each foreground class, then the maps.

    Returns:
      float32 [N, H, W, F + M]; F as in `ops.probability`, M = 0 without an instance head.
    """
    probability = foreground_probability(outputs.logits)
    return probability if outputs.maps is None else jnp.concatenate([probability, outputs.maps], axis=-1)
