"""EfficientNet encoders (arXiv:1905.11946) as keras.applications.efficientnet builds them; layers carry its names."""

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from nucseg_jax.models.atrous import stage_geometries
from nucseg_jax.models.initializers import VarianceScaling
from nucseg_jax.models.layers import (
    KERAS_BATCH_NORM_EPSILON,
    BatchNorm,
    Conv,
    DepthwiseConv,
    MovingStatistics,
    Normalization,
    scaled,
)
from nucseg_jax.models.preprocessing import IMAGENET, Preprocessing
from nucseg_jax.models.pyramid import Extent, Pyramid, taps_at
from nucseg_jax.ops.pool import global_average_pool

kernel_init = VarianceScaling(2.0, "fan_out", "truncated_normal")
# The cut ends inside this stage, after the expansion of its first block.
CUT_STAGE = 6
STEM_KERNEL_PX = 3
CHANNEL_DIVISOR = 8
# Squeeze-and-excite channels, as a share of the block's input channels.
SQUEEZE_RATIO = 0.25


@dataclasses.dataclass(frozen=True)
class Stage:
    """Blocks of one kind.

    Attributes:
      depth: number of blocks; only the first has the stride.
      features: channels of a block's output.
      kernel_px: of the depthwise convolution.
      stride: of the first block.
      expansion: inner channels as a multiple of the block's input channels.
    """

    depth: int
    features: int
    kernel_px: int
    stride: int
    expansion: int


# EfficientNet-B0, table 1 of the paper without its first and last row.
BASELINE = (
    Stage(1, 16, 3, 1, 1),
    Stage(2, 24, 3, 2, 6),
    Stage(2, 40, 5, 2, 6),
    Stage(3, 80, 3, 2, 6),
    Stage(3, 112, 5, 1, 6),
    Stage(4, 192, 5, 2, 6),
    Stage(1, 320, 3, 1, 6),
)


@dataclasses.dataclass(frozen=True)
class EfficientNetVariant:
    """A row of the EfficientNet table.

    Attributes:
      stem_features: channels of stem_conv.
      stages: block1 to block7.
      top_features: channels of top_conv.
    """

    stem_features: int
    stages: tuple[Stage, ...]
    top_features: int

    @property
    def stem(self) -> tuple[int, int]:
        """Kernel size and channels of the first convolution."""
        return STEM_KERNEL_PX, self.stem_features

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks a stage."""
        return tuple(stage.depth for stage in self.stages)

    def with_depths(self, depths: Sequence[int]) -> "EfficientNetVariant":
        """The same with other depths of its first stages."""
        changed = [
            dataclasses.replace(stage, depth=depth) for stage, depth in zip(self.stages, depths, strict=False)
        ]
        return dataclasses.replace(self, stages=(*changed, *self.stages[len(changed) :]))


def efficientnet_variant(width_coefficient: float, depth_coefficient: float) -> EfficientNetVariant:
    """Compound scaling of the baseline (section 3.3), rounded as Keras rounds."""

    def features(channels: int) -> int:
        exact = channels * width_coefficient
        rounded = max(CHANNEL_DIVISOR, int(exact + CHANNEL_DIVISOR / 2) // CHANNEL_DIVISOR * CHANNEL_DIVISOR)
        # Rounding down may not lose more than a tenth.
        return rounded + CHANNEL_DIVISOR if rounded < 0.9 * exact else rounded

    return EfficientNetVariant(
        stem_features=features(32),
        stages=tuple(
            dataclasses.replace(
                stage,
                depth=math.ceil(stage.depth * depth_coefficient),
                features=features(stage.features),
            )
            for stage in BASELINE
        ),
        top_features=features(1280),
    )


class EfficientNet(nn.Module):
    """The encoder; `encoder(image, *, train) -> Pyramid`.

    Attributes:
      variant: which network.
      extent: 'cut' ends at block6a_expand_activation, 'whole' at top_activation.
      output_stride: of the last features; strides that would exceed it become dilations.
      width: factor on all channels, 1 = the published network.
      drop_connect: rate, 0..1, at which the last block's residual branch is dropped for a whole image in
        training; earlier blocks have proportionally less (arXiv:1603.09382; Keras: 0.2).
      moving: how batch norm's moving statistics follow the batches.
      frozen_statistics: stages (see `stages`) whose batch norms use and keep their moving statistics in training.
      dtype: dtype of computation.
    """

    variant: EfficientNetVariant
    extent: Extent = "cut"
    output_stride: int = 16
    width: float = 1.0
    drop_connect: float = 0.2
    moving: MovingStatistics = MovingStatistics()
    frozen_statistics: tuple[str, ...] = ()
    dtype: DTypeLike | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        """First parts of the layers' names, from the image on: stem, block1, ..."""
        blocks = tuple(f"block{number}" for number in range(1, len(self.variant.stages) + 1))
        return ("stem", *blocks, "top") if self.extent == "whole" else ("stem", *blocks[:CUT_STAGE])

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of the stages that are built whole."""
        return self.variant.depths if self.extent == "whole" else self.variant.depths[: CUT_STAGE - 1]

    @property
    def end(self) -> str:
        """Keras's name of the last features."""
        return "top_activation" if self.extent == "whole" else f"block{CUT_STAGE}a_expand_activation"

    @property
    def taps(self) -> tuple[str, ...]:
        """Fields of `Pyramid` that are not None."""
        return taps_at(self.output_stride)

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of raw RGB; mean and deviation are defaults, a checkpoint's constants replace them."""
        return IMAGENET

    def without_dropout(self) -> "EfficientNet":
        """The same encoder with no residual branch dropped."""
        return self.clone(drop_connect=0.0)

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> Pyramid:
        """Raw RGB [N, H, W, 3], 0..255, to the taps of `Pyramid`."""
        variant = self.variant
        raw = image.astype(jnp.promote_types(image.dtype, jnp.float32))
        features = Normalization(self.preprocessing, name="normalization")(raw)
        stem = scaled(variant.stem_features, self.width)
        features = self.conv("stem_conv", stem, STEM_KERNEL_PX, stride=2)(features)
        features = nn.silu(self.normalise("stem_bn", features, train))

        geometries = stage_geometries(
            [stage.stride for stage in variant.stages], stem_stride=2, output_stride=self.output_stride
        )
        # The taps: what enters a stage's strided depthwise convolution.
        expanded: dict[int, jax.Array] = {}
        block_index, blocks = 0, sum(variant.depths)
        for number, (stage, geometry) in enumerate(zip(variant.stages, geometries, strict=True), start=1):
            for block in range(stage.depth):
                name = f"block{number}{chr(ord('a') + block)}"
                entry = features
                features = self.expand(name, features, stage.expansion, train)
                if block == 0:
                    expanded[number] = features
                    if self.extent == "cut" and number == CUT_STAGE:
                        return self.pyramid(raw, expanded, features)
                features = self.filter_and_project(
                    name,
                    features,
                    stage=stage,
                    squeezed=max(1, int(entry.shape[-1] * SQUEEZE_RATIO)),
                    stride=geometry.stride if block == 0 else 1,
                    dilation=geometry.dilation_before if block == 0 else geometry.dilation,
                    train=train,
                )
                # By the published stride: trading it for dilation adds no shortcut.
                if (block > 0 or stage.stride == 1) and entry.shape[-1] == features.shape[-1]:
                    rate = self.drop_connect * block_index / blocks
                    drop = nn.Dropout(rate, broadcast_dims=(1, 2, 3), deterministic=not train)
                    features = drop(features) + entry
                block_index += 1
        features = self.conv("top_conv", scaled(variant.top_features, self.width), 1)(features)
        features = nn.silu(self.normalise("top_bn", features, train))
        return self.pyramid(raw, expanded, features)

    def pyramid(self, raw: jax.Array, expanded: dict[int, jax.Array], output: jax.Array) -> Pyramid:
        """Taps by role; `expanded` has the inner activation of each stage's first block."""
        return Pyramid(
            image=raw,
            stride2=expanded[2],
            stride4_low_level=expanded[3],
            stride4=expanded[3],
            stride8=expanded[4],
            stride16=expanded[6] if self.output_stride >= 16 else None,
            output=output,
        )

    def expand(self, name: str, features: jax.Array, expansion: int, train: bool) -> jax.Array:
        """First part of an inverted bottleneck: 1x1 to more channels; nothing at expansion 1."""
        if expansion == 1:
            return features
        features = self.conv(f"{name}_expand_conv", features.shape[-1] * expansion, 1)(features)
        return nn.silu(self.normalise(f"{name}_expand_bn", features, train))

    def filter_and_project(
        self,
        name: str,
        features: jax.Array,
        *,
        stage: Stage,
        squeezed: int,
        stride: int,
        dilation: int,
        train: bool,
    ) -> jax.Array:
        """The rest of it: depthwise convolution, squeeze-and-excite (arXiv:1709.01507), 1x1 to the output."""
        features = DepthwiseConv(
            stage.kernel_px, stride=stride, dilation=dilation, dtype=self.dtype, name=f"{name}_dwconv"
        )(features)
        features = nn.silu(self.normalise(f"{name}_bn", features, train))
        gate = global_average_pool(features)
        gate = nn.silu(self.conv(f"{name}_se_reduce", squeezed, 1, use_bias=True)(gate))
        gate = nn.sigmoid(self.conv(f"{name}_se_expand", features.shape[-1], 1, use_bias=True)(gate))
        features = self.conv(f"{name}_project_conv", scaled(stage.features, self.width), 1)(features * gate)
        return self.normalise(f"{name}_project_bn", features, train)

    def conv(
        self, name: str, features: int, kernel_px: int, *, stride: int = 1, use_bias: bool = False
    ) -> Conv:
        """A convolution of this network; 'SAME' pads even sizes by (0, 1) at stride 2, as Keras's correct_pad."""
        return Conv(
            features,
            kernel_px,
            stride=stride,
            use_bias=use_bias,
            kernel_init=kernel_init,
            dtype=self.dtype,
            name=name,
        )

    def normalise(self, name: str, features: jax.Array, train: bool) -> jax.Array:
        """Batch norm of this network."""
        norm = BatchNorm(moving=self.moving, epsilon=KERAS_BATCH_NORM_EPSILON, dtype=self.dtype, name=name)
        return norm(features, train=train and not name.startswith(self.frozen_statistics))
