"""Image in, logits out: an encoder, a decoder and a head."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from nucseg_jax.models.layers import Conv
from nucseg_jax.ops.resize import resize_bilinear


class Segmenter(nn.Module):
    """A segmentation model.

    Attributes:
      encoder: module `encoder(image, *, train) -> Pyramid`.
      decoder: module `decoder(pyramid, *, train) -> [N, H/k, W/k, D]`.
      num_classes: C, channels of the logits: 1 = nucleus against background (sigmoid), 6 = background and
        the five nucleus classes (softmax).
    """

    encoder: nn.Module
    decoder: nn.Module
    num_classes: int

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        """Segments a batch.

        Args:
          image: uint8 or floating [N, H, W, 3], RGB, 0..255; H and W multiples of 16.
          train: True = batch statistics and dropout (needs an rng named 'dropout').

        Returns:
          float32 logits [N, H, W, C].
        """
        features = self.decoder(self.encoder(image, train=train), train=train)
        # In float32 whatever the decoder computes in. Before magnification, not after it as in the paper:
        # a 1x1 convolution and bilinear interpolation commute, and this way the map has C channels, not D.
        logits = Conv(self.num_classes, 1, dtype=jnp.float32, name="head")(features)
        if logits.shape[1:3] != image.shape[1:3]:
            logits = resize_bilinear(logits, *image.shape[1:3])
        return logits
