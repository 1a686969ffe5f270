"""The paper's DeepLabV3+ decoders (section 3.3; arXiv:1802.02611) as one module and rows of data."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from nucseg_jax.models.layers import ConvBatchNormRelu, MovingStatistics, scaled
from nucseg_jax.models.pyramid import Pyramid
from nucseg_jax.ops.pool import global_average_pool
from nucseg_jax.ops.resize import resize_bilinear


@dataclasses.dataclass(frozen=True)
class DeepLabV3PlusVariant:
    """A row of the DeepLabV3+ table.

    Attributes:
      aspp_features: channels of every ASPP branch, of its projection and of the decoder convolutions.
      atrous_rates: rates of the 3x3 branches at output stride 16, doubled at 8; image pooling and a plain 1x1
        are always there.
      low_level_features: channels the low-level tap is reduced to.
      decoder_convs: number of 3x3 convolutions after the concatenation.
    """

    aspp_features: int
    atrous_rates: tuple[int, ...]
    low_level_features: int
    decoder_convs: int


DEEPLABV3PLUS_RESNET50 = DeepLabV3PlusVariant(
    aspp_features=512, atrous_rates=(6, 12, 18), low_level_features=128, decoder_convs=2
)
# Four convolutions: the usual two and the paper's "two additional convolutional layers".
DEEPLABV3PLUS_EFFICIENTNET = DeepLabV3PlusVariant(
    aspp_features=256, atrous_rates=(6, 12, 18), low_level_features=256, decoder_convs=4
)
# Not in the paper: as published in arXiv:1802.02611, on a whole encoder with dilated last stages.
DEEPLABV3PLUS_DILATED = DeepLabV3PlusVariant(
    aspp_features=256, atrous_rates=(6, 12, 18), low_level_features=48, decoder_convs=2
)


class DeepLabV3Plus(nn.Module):
    """The decoder; `decoder(pyramid, *, train) -> [N, H/4, W/4, D]`, D = `aspp_features`.

    Attributes:
      variant: which layers.
      output_stride: of the encoder's output, 16 or 8.
      width: factor on all channels, 1 = the paper's.
      dropout: rate, 0..1, elementwise, after the ASPP projection and after the last decoder convolution.
      moving: how batch norm's moving statistics follow the batches.
      dtype: dtype of computation.
    """

    variant: DeepLabV3PlusVariant
    dropout: float
    output_stride: int = 16
    width: float = 1.0
    moving: MovingStatistics = MovingStatistics()
    dtype: DTypeLike | None = None

    @property
    def required_taps(self) -> tuple[str, ...]:
        """Fields of `Pyramid` that must not be None."""
        return ("output", "stride4_low_level")

    def without_dropout(self) -> "DeepLabV3Plus":
        """The same decoder with rate 0."""
        return self.clone(dropout=0.0)

    @nn.compact
    def __call__(self, pyramid: Pyramid, *, train: bool) -> jax.Array:
        """ASPP on the encoder's output, joined with the low-level tap at stride 4."""
        variant = self.variant
        features = self.atrous_spatial_pyramid_pooling(pyramid.output, train)
        low_level = self.conv("low_level", variant.low_level_features, 1)(
            pyramid.stride4_low_level, train=train
        )
        features = resize_bilinear(features, *low_level.shape[1:3])
        features = jnp.concatenate([features, low_level], axis=-1)
        for index in range(1, variant.decoder_convs + 1):
            features = self.conv(f"decoder_{index}", variant.aspp_features, 3)(features, train=train)
        dropped: jax.Array = nn.Dropout(self.dropout, deterministic=not train)(features)
        return dropped

    def atrous_spatial_pyramid_pooling(self, features: jax.Array, train: bool) -> jax.Array:
        """Five branches on one map, concatenated and projected (arXiv:1706.05587, section 3.3)."""
        width = self.variant.aspp_features
        pooled = self.conv("aspp_pool", width, 1)(global_average_pool(features), train=train)
        branches = [
            resize_bilinear(pooled, *features.shape[1:3]),
            self.conv("aspp_1x1", width, 1)(features, train=train),
        ]
        for rate in self.variant.atrous_rates:
            dilation = rate * 16 // self.output_stride
            branch = self.conv(f"aspp_rate_{rate}", width, 3, dilation=dilation)
            branches.append(branch(features, train=train))
        projected = self.conv("aspp_projection", width, 1)(jnp.concatenate(branches, axis=-1), train=train)
        dropped: jax.Array = nn.Dropout(self.dropout, deterministic=not train)(projected)
        return dropped

    def conv(self, name: str, features: int, kernel_px: int, dilation: int = 1) -> ConvBatchNormRelu:
        """A new convolution of this decoder: no bias, batch norm, ReLU."""
        return ConvBatchNormRelu(
            scaled(features, self.width),
            kernel_px,
            use_bias=False,
            moving=self.moving,
            dilation=dilation,
            dtype=self.dtype,
            name=name,
        )
