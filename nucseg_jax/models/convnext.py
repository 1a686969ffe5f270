"""ConvNeXt encoders (arXiv:2201.03545) as timm and torchvision build them; layers carry timm's names.

'stages.2.blocks.0.mlp.fc1' is 'stages_2_blocks_0_mlp_fc1' here, and the factor 'stages.2.blocks.0.gamma', which
torchvision calls `layer_scale`, is 'stages_2_blocks_0_layer_scale'. The norm behind the last stage belongs to the
classifier in both and is no part of the encoder: taps are what the stages give, as with timm's `features_only`.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from nucseg_jax.models.atrous import StageGeometry, stage_geometries
from nucseg_jax.models.initializers import Normal
from nucseg_jax.models.layers import Conv, DepthwiseConv, LayerNorm, LayerScale, MovingStatistics, scaled
from nucseg_jax.models.preprocessing import IMAGENET, Preprocessing, preprocess
from nucseg_jax.models.pyramid import Extent, Pyramid, taps_at
from nucseg_jax.ops.conv_reference import Padding

# The stem's kernel does not overlap: it cuts the image into patches of this side.
PATCH_PX = 4
KERNEL_PX = 7
STRIDES = (1, 2, 2, 2)
EPSILON = 1e-6
# Inner channels of a block, as a multiple of its channels.
EXPANSION = 4
# Stages up to stride 16, where the paper cuts its encoders.
CUT_STAGES = 3

kernel_init = Normal(0.02)


@dataclasses.dataclass(frozen=True)
class ConvNeXtVariant:
    """A row of the ConvNeXt table.

    Attributes:
      depths: blocks of each stage.
      features: channels of each stage.
    """

    depths: tuple[int, ...]
    features: tuple[int, ...]

    @property
    def stem(self) -> tuple[int, int]:
        """Kernel size and channels of the first convolution."""
        return PATCH_PX, self.features[0]

    def with_depths(self, depths: Sequence[int]) -> "ConvNeXtVariant":
        """Returns the same variant with other depths of its first stages."""
        return dataclasses.replace(self, depths=(*depths, *self.depths[len(depths) :]))


# Section 3 of the paper.
CONVNEXT_TINY = ConvNeXtVariant(depths=(3, 3, 9, 3), features=(96, 192, 384, 768))
CONVNEXT_SMALL = ConvNeXtVariant(depths=(3, 3, 27, 3), features=(96, 192, 384, 768))
CONVNEXT_BASE = ConvNeXtVariant(depths=(3, 3, 27, 3), features=(128, 256, 512, 1024))


def block_drop_rate(variant: ConvNeXtVariant, drop_connect: float, block: int) -> float:
    """Returns the rate of a block, counted from 0 over all stages of the whole network: from 0 to `drop_connect`."""
    return drop_connect * block / max(sum(variant.depths) - 1, 1)


class ConvNeXt(nn.Module):
    """The encoder; `encoder(image, *, train) -> Pyramid`, without a tap at stride 2.

    Attributes:
      variant: which network.
      extent: 'cut' ends at stages_2, 'whole' at stages_3.
      output_stride: of the last features; strides that would exceed it become dilations, as timm has them.
      width: factor on all channels, 1 = the published network.
      drop_connect: rate, 0..1, at which the last block's residual branch is dropped for a whole image in training;
        earlier blocks have proportionally less, the first none (arXiv:1603.09382; the paper: 0.1 to 0.5 by size).
      moving, frozen_statistics: of `interfaces.Encoder`; no effect, there is no batch norm.
      dtype: dtype of computation.
    """

    variant: ConvNeXtVariant
    extent: Extent = "cut"
    output_stride: int = 16
    width: float = 1.0
    drop_connect: float = 0.0
    moving: MovingStatistics = MovingStatistics()
    frozen_statistics: tuple[str, ...] = ()
    dtype: DTypeLike | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        """First parts of the layers' names, from the image on: stem, stages_0, ..."""
        return ("stem", *(f"stages_{number}" for number in range(len(self.depths))))

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of the stages that are built."""
        return self.variant.depths if self.extent == "whole" else self.variant.depths[:CUT_STAGES]

    @property
    def end(self) -> str:
        """Name of the last features in timm, as its `features_only` has it."""
        return self.stages[-1]

    @property
    def taps(self) -> tuple[str, ...]:
        """Fields of `Pyramid` that are not None."""
        return taps_at(self.output_stride, first_stride=PATCH_PX)

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of raw RGB that the weights were trained with."""
        return IMAGENET

    def without_dropout(self) -> "ConvNeXt":
        """Returns the same encoder with no residual branch dropped."""
        return self.clone(drop_connect=0.0)

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> Pyramid:
        """Raw RGB [N, H, W, 3], 0..255, to the taps of `Pyramid`; each stride rounds odd sizes down."""
        raw = image.astype(jnp.promote_types(image.dtype, jnp.float32))
        features = preprocess(raw, self.preprocessing)
        stem = scaled(self.variant.features[0], self.width)
        features = self.conv("stem_0", stem, PATCH_PX, stride=PATCH_PX, padding="VALID")(features)
        features = self.norm("stem_1")(features)

        depths = self.depths
        geometries = stage_geometries(
            STRIDES[: len(depths)], stem_stride=PATCH_PX, output_stride=self.output_stride
        )
        blocks_before, stages = 0, []
        for number, (depth, geometry) in enumerate(zip(depths, geometries, strict=True)):
            name = f"stages_{number}"
            if number:
                width = scaled(self.variant.features[number], self.width)
                features = self.downsample(f"{name}_downsample", features, width, geometry)
            for block in range(depth):
                rate = self.drop_rate(blocks_before + block)
                features = self.block(f"{name}_blocks_{block}", features, geometry.dilation, rate, train)
            blocks_before += depth
            stages.append(features)
        return Pyramid(
            image=raw,
            stride2=None,
            stride4_low_level=stages[0],
            stride4=stages[0],
            stride8=stages[1],
            stride16=stages[2] if geometries[2].output_stride == 16 else None,
            output=features,
        )

    def drop_rate(self, block: int) -> float:
        """Returns the rate of a block, see `block_drop_rate`."""
        return block_drop_rate(self.variant, self.drop_connect, block)

    def downsample(self, name: str, features: jax.Array, width: int, geometry: StageGeometry) -> jax.Array:
        """Layer norm, then 2x2 to the next stage's channels, at its stride or, without one, padded to the same size."""
        features = self.norm(f"{name}_0")(features)
        dilation = geometry.dilation_before
        # timm's padding: at dilation 1 it looks on to the next pixel, at 2 to the one before and the one after.
        padding = "VALID" if geometry.stride > 1 else ((dilation // 2, (dilation + 1) // 2),) * 2
        return self.conv(f"{name}_1", width, 2, stride=geometry.stride, padding=padding, dilation=dilation)(
            features
        )

    def block(self, name: str, features: jax.Array, dilation: int, rate: float, train: bool) -> jax.Array:
        """Depthwise 7x7, layer norm, 1x1 to four times the channels, GELU, 1x1 back, layer scale; plus shortcut."""
        entry, width = features, features.shape[-1]
        features = DepthwiseConv(
            KERNEL_PX,
            dilation=dilation,
            use_bias=True,
            kernel_init=kernel_init,
            dtype=self.dtype,
            name=f"{name}_conv_dw",
        )(features)
        features = self.norm(f"{name}_norm")(features)
        features = self.conv(f"{name}_mlp_fc1", EXPANSION * width, 1)(features)
        features = nn.gelu(features, approximate=False)
        features = self.conv(f"{name}_mlp_fc2", width, 1)(features)
        features = LayerScale(dtype=self.dtype, name=f"{name}_layer_scale")(features)
        residual: jax.Array = nn.Dropout(rate, broadcast_dims=(1, 2, 3), deterministic=not train)(features)
        return entry + residual

    def conv(
        self,
        name: str,
        features: int,
        kernel_px: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: Padding = "SAME",
    ) -> Conv:
        """A convolution of this network, with bias."""
        return Conv(
            features,
            kernel_px,
            stride=stride,
            dilation=dilation,
            padding=padding,
            kernel_init=kernel_init,
            dtype=self.dtype,
            name=name,
        )

    def norm(self, name: str) -> LayerNorm:
        """Layer norm of this network."""
        return LayerNorm(EPSILON, dtype=self.dtype, name=name)
