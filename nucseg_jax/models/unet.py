"""The paper's U-Net decoders (sections 3.1 and 3.2) as one module and rows of data."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from nucseg_jax.models.layers import (
    BatchNorm,
    ConvBatchNormRelu,
    ConvTranspose,
    MovingStatistics,
    scaled,
)
from nucseg_jax.models.pyramid import Pyramid


@dataclasses.dataclass(frozen=True)
class UNetVariant:
    """A row of the U-Net table.

    Attributes:
      bridge_features: channels of the pair of convolutions before the first level; None = no bridge.
      features: channels of each level, deepest first.
      skips: the tap of `Pyramid` that each level concatenates; None = none. Where the encoder cannot have the tap
        (see `OPTIONAL_SKIPS`) the level goes on without one, as in segmentation_models.pytorch.
      transpose_kernel_px: size of the transposed convolution's kernel.
      transpose_batch_norm: True = no bias, batch norm and ReLU follow; False = bias, nothing follows.
      bridge_dropout: share of the model's dropout rate at the bridge.
      level_dropout: share of the model's dropout rate at each level.
    """

    bridge_features: int | None
    features: tuple[int, ...]
    skips: tuple[str | None, ...]
    transpose_kernel_px: int
    transpose_batch_norm: bool
    bridge_dropout: float
    level_dropout: tuple[float, ...]


# Table 1 gives 0.7; section 3.1 has 0.5 in the two deep and 0.2 in the two shallow levels: hence the sevenths.
UNET_RESNET50 = UNetVariant(
    bridge_features=256,
    features=(256, 128, 64, 64),
    skips=("stride8", "stride4", "stride2", None),
    transpose_kernel_px=3,
    transpose_batch_norm=True,
    bridge_dropout=1.0,
    level_dropout=(5 / 7, 5 / 7, 2 / 7, 2 / 7),
)
# Table 1 gives 0.5; section 3.2 has 0.5 in the two deep and 0.25 in the two shallow levels. The last skip is the
# raw image, 0..255.
UNET_EFFICIENTNET = UNetVariant(
    bridge_features=None,
    features=(512, 256, 128, 64),
    skips=("stride8", "stride4", "stride2", "image"),
    transpose_kernel_px=2,
    transpose_batch_norm=False,
    bridge_dropout=0.0,
    level_dropout=(1.0, 1.0, 0.5, 0.5),
)
# Not in the paper: the usual U-Net on a whole encoder, with the widths that libraries give it; the same rate of
# dropout at every level.
UNET_FIVE_LEVELS = UNetVariant(
    bridge_features=None,
    features=(256, 128, 64, 32, 16),
    skips=("stride16", "stride8", "stride4", "stride2", None),
    transpose_kernel_px=2,
    transpose_batch_norm=False,
    bridge_dropout=0.0,
    level_dropout=(1.0,) * 5,
)


# Taps that some networks have no features for; a level goes on without its skip there.
OPTIONAL_SKIPS = ("stride2",)


class UNet(nn.Module):
    """The decoder; `decoder(pyramid, *, train) -> [N, H, W, D]`, D = the last level's channels.

    Attributes:
      variant: which layers.
      width: factor on all channels, 1 = the paper's.
      dropout: Table 1's rate, 0..1; variants give shares of it.
      moving: how batch norm's moving statistics follow the batches.
      dtype: dtype of computation.
    """

    variant: UNetVariant
    dropout: float
    width: float = 1.0
    moving: MovingStatistics = MovingStatistics()
    dtype: DTypeLike | None = None

    @property
    def required_taps(self) -> tuple[str, ...]:
        """Fields of `Pyramid` that must not be None: every skip but those of `OPTIONAL_SKIPS`."""
        skips = (skip for skip in self.variant.skips if skip is not None and skip not in OPTIONAL_SKIPS)
        return ("output", *skips)

    def without_dropout(self) -> "UNet":
        """The same decoder with rate 0."""
        return self.clone(dropout=0.0)

    @nn.compact
    def __call__(self, pyramid: Pyramid, *, train: bool) -> jax.Array:
        """Climbs from the encoder's output to the image's own resolution, one level a factor of two."""
        variant = self.variant
        features = pyramid.output
        if variant.bridge_features is not None:
            features = self.conv_pair(
                "bridge", features, variant.bridge_features, variant.bridge_dropout, train
            )
        levels = zip(variant.features, variant.skips, variant.level_dropout, strict=True)
        for level, (channels, skip, share) in enumerate(levels, start=1):
            features = self.upsample(f"level{level}_transpose", features, channels, train)
            tap = getattr(pyramid, skip) if skip is not None else None
            if tap is not None:
                features = jnp.concatenate([features, tap.astype(features.dtype)], axis=-1)
            features = self.conv_pair(f"level{level}", features, channels, share, train)
        return features

    def conv_pair(
        self, name: str, features: jax.Array, channels: int, dropout_share: float, train: bool
    ) -> jax.Array:
        """Twice [3x3, bias, batch norm, ReLU] with dropout between the two."""
        block = functools.partial(
            ConvBatchNormRelu,
            scaled(channels, self.width),
            3,
            use_bias=True,
            moving=self.moving,
            dtype=self.dtype,
        )
        features = block(name=f"{name}_1")(features, train=train)
        features = nn.Dropout(self.dropout * dropout_share, deterministic=not train)(features)
        return block(name=f"{name}_2")(features, train=train)

    def upsample(self, name: str, features: jax.Array, channels: int, train: bool) -> jax.Array:
        """Transposed convolution of stride 2, with batch norm and ReLU where the variant has them."""
        normalised = self.variant.transpose_batch_norm
        features = ConvTranspose(
            scaled(channels, self.width),
            self.variant.transpose_kernel_px,
            stride=2,
            use_bias=not normalised,
            dtype=self.dtype,
            name=name,
        )(features)
        if not normalised:
            return features
        norm = BatchNorm(moving=self.moving, dtype=self.dtype, name=f"{name}_batch_norm")
        return nn.relu(norm(features, train=train))
