"""A feature pyramid network (arXiv:1612.03144) with the segmentation branch of panoptic FPN (arXiv:1901.02446).

Layers and widths are those of segmentation_models.pytorch's FPN; dropout is elementwise, as everywhere here.
"""

import dataclasses

import jax
from flax import linen as nn
from jax.typing import DTypeLike

from nucseg_jax.models.layers import Conv, GroupNorm, MovingStatistics, scaled
from nucseg_jax.models.pyramid import Pyramid
from nucseg_jax.ops.resize import resize_bilinear, upsample_nearest

# Deepest first: each level's tap, and how many times the segmentation branch doubles its size to stride 4.
LEVELS = (("output", 3), ("stride16", 2), ("stride8", 1), ("stride4", 0))


@dataclasses.dataclass(frozen=True)
class FPNVariant:
    """A row of the FPN table.

    Attributes:
      pyramid_features: channels of every level of the pyramid.
      segmentation_features: channels of every level's segmentation branch, and of their sum.
    """

    pyramid_features: int
    segmentation_features: int


FPN_256 = FPNVariant(pyramid_features=256, segmentation_features=128)


class FPN(nn.Module):
    """The decoder; `decoder(pyramid, *, train) -> [N, H/4, W/4, D]`, D = `segmentation_features`.

    Worked example, 256x256 image, ResNet-50, sizes and channels:

      level     tap            lateral     top-down sum    segmentation branch
      output     8, 2048        8, 256      8, 256          16 -> 32 -> 64, 128
      stride16  16, 1024       16, 256     16, 256          32 -> 64, 128
      stride8   32,  512       32, 256     32, 256          64, 128
      stride4   64,  256       64, 256     64, 256          64, 128     sum of all: 64, 128

    Attributes:
      variant: which widths.
      dropout: rate, 0..1, of the sum of the branches.
      width: factor on all channels.
      moving: not used; group norms have no moving statistics.
      dtype: dtype of computation.
    """

    variant: FPNVariant
    dropout: float
    width: float = 1.0
    moving: MovingStatistics = MovingStatistics()
    dtype: DTypeLike | None = None

    @property
    def required_taps(self) -> tuple[str, ...]:
        """Fields of `Pyramid` that must not be None."""
        return tuple(tap for tap, _ in LEVELS)

    def without_dropout(self) -> "FPN":
        """Returns the same decoder with rate 0."""
        return self.clone(dropout=0.0)

    @nn.compact
    def __call__(self, pyramid: Pyramid, *, train: bool) -> jax.Array:
        """Adds the upsampled coarser level to each level, and the segmentation branches of all levels."""
        channels = scaled(self.variant.pyramid_features, self.width)
        features = branches = None
        for tap, doublings in LEVELS:
            lateral = Conv(channels, 1, use_bias=True, dtype=self.dtype, name=f"{tap}_lateral")(
                getattr(pyramid, tap)
            )
            features = lateral if features is None else lateral + upsample_nearest(features, 2)
            branch = self.segmentation_branch(tap, features, doublings)
            branches = branch if branches is None else branches + branch
        dropped: jax.Array = nn.Dropout(self.dropout, deterministic=not train)(branches)
        return dropped

    def segmentation_branch(self, tap: str, features: jax.Array, doublings: int) -> jax.Array:
        """Repeats [3x3, group norm, ReLU, upsampling by 2] until stride 4; there once, without upsampling."""
        channels = scaled(self.variant.segmentation_features, self.width)
        for number in range(1, max(doublings, 1) + 1):
            name = f"{tap}_segmentation_{number}"
            features = Conv(channels, 3, use_bias=False, dtype=self.dtype, name=name)(features)
            features = nn.relu(GroupNorm(dtype=self.dtype, name=f"{name}_group_norm")(features))
            if doublings:
                _, H, W, _ = features.shape
                features = resize_bilinear(features, 2 * H, 2 * W)
        return features
