"""Image in, logits out: an encoder, a decoder and a last convolution."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from nucseg_jax.core.errors import UserError
from nucseg_jax.models.interfaces import Decoder, Encoder
from nucseg_jax.models.layers import Conv
from nucseg_jax.ops.outputs import Outputs, output_channels, split_outputs
from nucseg_jax.ops.resize import resize_bilinear


class Segmenter(nn.Module):
    """A segmentation model.

    Attributes:
      encoder: image to taps.
      decoder: taps to features, [N, H/k, W/k, D].
      num_classes: C, channels of the logits: 1 = nucleus against background (sigmoid), more = background and C - 1
        nucleus classes (softmax).
      map_channels: M, the maps of the instance head; 0 = without one.
    """

    encoder: Encoder
    decoder: Decoder
    num_classes: int
    map_channels: int = 0

    def without_dropout(self) -> "Segmenter":
        """The same model with nothing dropped in training mode."""
        return self.clone(encoder=self.encoder.without_dropout(), decoder=self.decoder.without_dropout())

    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        """Segments a batch; arguments and errors as in `outputs`.

        Returns:
          float32 logits [N, H, W, C] (float64 for a float64 image).
        """
        return self.outputs(image, train=train).logits

    @nn.compact
    def outputs(self, image: jax.Array, *, train: bool) -> Outputs:
        """Segments a batch.

        Args:
          image: uint8 or floating [N, H, W, 3], RGB, 0..255; H and W multiples of the encoder's output stride.
          train: True = batch statistics and dropout (needs an rng named 'dropout').

        Returns:
          Logits and, with an instance head, its maps, from the decoder's features on in float32 (float64 for a float64
          image) on every platform: products of the encoder and the decoder have the precision of their platform's
          default (`jax_default_matmul_precision`), TF32 for float32 on NVIDIA's Ampere and later.

        Raises:
          UserError: an image of another shape or size.
        """
        stride = self.encoder.output_stride
        if image.ndim != 4 or image.shape[-1] != 3 or image.shape[1] % stride or image.shape[2] % stride:
            raise UserError(
                f"the model was given images of shape {image.shape}",
                expected=f"[N, H, W, 3] with H and W multiples of {stride}",
                advice="pad the image (by reflection, say) and crop the logits",
            )
        features = self.decoder(self.encoder(image, train=train), train=train)
        # In float32 whatever the decoder computes in. Before magnification, not after it as in the paper:
        # a 1x1 convolution and bilinear interpolation commute, and this way the map has C channels, not D.
        dtype = jnp.promote_types(features.dtype, jnp.float32)
        # Of a float32 product an accelerator by default takes 10 bits of each factor (TF32) or 7 (bfloat16 passes).
        # Upsampling below asks for all of them by itself.
        with jax.default_matmul_precision("highest"):
            channels = Conv(
                output_channels(self.num_classes, self.map_channels), 1, dtype=dtype, name="head"
            )(features)
        if channels.shape[1:3] != image.shape[1:3]:
            channels = resize_bilinear(channels, *image.shape[1:3])
        return split_outputs(channels, self.num_classes, self.map_channels)
