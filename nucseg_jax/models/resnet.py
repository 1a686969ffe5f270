"""ResNet encoders with bottleneck blocks (arXiv:1512.03385), as Keras builds them and as torchvision does.

Layers carry Keras's names in every row. Keras has version 1: the stride of a stage sits on its first 1x1
convolution and on the shortcut, and convolutions have a bias. torchvision has "version 1.5": the stride sits
on the 3x3, no bias, another epsilon, other preprocessing. The two take each other's weights for nothing.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from nucseg_jax.models.atrous import StageGeometry, stage_geometries
from nucseg_jax.models.initializers import VarianceScaling
from nucseg_jax.models.layers import BatchNorm, Conv, MovingStatistics, glorot_uniform, scaled
from nucseg_jax.models.preprocessing import CAFFE, IMAGENET, Preprocessing, preprocess
from nucseg_jax.models.pyramid import Extent, Pyramid, taps_at
from nucseg_jax.ops.conv_reference import Padding
from nucseg_jax.ops.pool import max_pool_3x3_stride_2

STEM_FEATURES = 64
STEM_KERNEL_PX = 7
BOTTLENECK_FEATURES = (64, 128, 256, 512)
STRIDES = (1, 2, 2, 2)
# Stages before the paper's cut, conv4_block6_out.
CUT_STAGES = 3
# The block of conv2 whose output DeepLabV3+ takes, counted from 1.
LOW_LEVEL_BLOCK = 2


@dataclasses.dataclass(frozen=True)
class ResNetVariant:
    """A row of the ResNet table.

    Attributes:
      depths: bottleneck blocks of the stages conv2 to conv5.
      stride_in_3x3: whether a stage's stride sits on the 3x3 convolution of its first block (v1.5) or on the
        1x1 before it (v1).
      conv_bias: whether convolutions have a bias.
      epsilon: of the batch norms.
      kernel_init: what kernels start from without pretrained weights.
      preprocessing: what the weights expect.
    """

    depths: tuple[int, ...]
    stride_in_3x3: bool
    conv_bias: bool
    epsilon: float
    kernel_init: VarianceScaling
    preprocessing: Preprocessing

    @property
    def stem(self) -> tuple[int, int]:
        """Kernel size and channels of the first convolution."""
        return STEM_KERNEL_PX, STEM_FEATURES

    def with_depths(self, depths: Sequence[int]) -> "ResNetVariant":
        """The same with other depths of its first stages."""
        return dataclasses.replace(self, depths=(*depths, *self.depths[len(depths) :]))


def _keras_resnet(*depths: int) -> ResNetVariant:
    """keras.applications.resnet."""
    return ResNetVariant(
        depths=depths,
        stride_in_3x3=False,
        conv_bias=True,
        epsilon=1.001e-5,
        kernel_init=glorot_uniform,
        preprocessing=CAFFE,
    )


RESNET50 = _keras_resnet(3, 4, 6, 3)
RESNET101 = _keras_resnet(3, 4, 23, 3)
RESNET152 = _keras_resnet(3, 8, 36, 3)
# torchvision.models.resnet50.
RESNET50_V1_5 = ResNetVariant(
    depths=(3, 4, 6, 3),
    stride_in_3x3=True,
    conv_bias=False,
    epsilon=1e-5,
    kernel_init=VarianceScaling(2.0, "fan_out", "normal"),
    preprocessing=IMAGENET,
)


class ResNet(nn.Module):
    """The encoder; `encoder(image, *, train) -> Pyramid`.

    Attributes:
      variant: which network.
      extent: 'cut' ends at conv4_block6_out, 'whole' at conv5_block3_out.
      output_stride: of the last features; strides that would exceed it become dilations.
      width: factor on all channels, 1 = the published network.
      moving: how batch norm's moving statistics follow the batches.
      frozen_statistics: stages (see `stages`) whose batch norms use and keep their moving statistics in training.
      dtype: dtype of computation.
    """

    variant: ResNetVariant
    extent: Extent = "cut"
    output_stride: int = 16
    width: float = 1.0
    moving: MovingStatistics = MovingStatistics()
    frozen_statistics: tuple[str, ...] = ()
    dtype: DTypeLike | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        """First parts of the layers' names, from the image on: conv1, conv2, ..."""
        return tuple(f"conv{number}" for number in range(1, len(self.depths) + 2))

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of the stages that are built."""
        return self.variant.depths if self.extent == "whole" else self.variant.depths[:CUT_STAGES]

    @property
    def end(self) -> str:
        """Keras's name of the last features."""
        return f"conv{len(self.depths) + 1}_block{self.depths[-1]}_out"

    @property
    def taps(self) -> tuple[str, ...]:
        """Fields of `Pyramid` that are not None."""
        return taps_at(self.output_stride)

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of raw RGB; the weights were trained with it."""
        return self.variant.preprocessing

    def without_dropout(self) -> "ResNet":
        """The same: a ResNet has none."""
        return self

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> Pyramid:
        """Raw RGB [N, H, W, 3], 0..255, to the taps of `Pyramid`."""
        raw = image.astype(jnp.promote_types(image.dtype, jnp.float32))
        features = preprocess(raw, self.variant.preprocessing)
        stem = scaled(STEM_FEATURES, self.width)
        features = self.conv("conv1_conv", stem, STEM_KERNEL_PX, stride=2, padding=((3, 3), (3, 3)))(features)
        stride2 = nn.relu(self.normalise("conv1_bn", features, train))
        features = max_pool_3x3_stride_2(stride2)

        depths = self.depths
        geometries = stage_geometries(STRIDES[: len(depths)], stem_stride=4, output_stride=self.output_stride)
        stages = []
        for stage, (depth, geometry) in enumerate(zip(depths, geometries, strict=True), start=2):
            blocks = []
            for block in range(1, depth + 1):
                features = self.bottleneck(
                    features,
                    name=f"conv{stage}_block{block}",
                    inner=scaled(BOTTLENECK_FEATURES[stage - 2], self.width),
                    geometry=geometry,
                    is_first=block == 1,
                    train=train,
                )
                blocks.append(features)
            stages.append(blocks)
        conv2, conv3, conv4 = stages[:3]
        return Pyramid(
            image=raw,
            stride2=stride2,
            stride4_low_level=conv2[min(LOW_LEVEL_BLOCK, len(conv2)) - 1],
            stride4=conv2[-1],
            stride8=conv3[-1],
            stride16=conv4[-1] if geometries[2].output_stride == 16 else None,
            output=features,
        )

    def bottleneck(
        self,
        features: jax.Array,
        *,
        name: str,
        inner: int,
        geometry: StageGeometry,
        is_first: bool,
        train: bool,
    ) -> jax.Array:
        """1x1, 3x3, 1x1 to four times the channels; plus shortcut; ReLU (Keras residual_block_v1)."""
        stride = geometry.stride if is_first else 1
        in_3x3 = self.variant.stride_in_3x3
        # A removed stride dilates what comes after it: in v1 that is this 3x3 already, in v1.5 it is the next.
        dilation = geometry.dilation_before if is_first and in_3x3 else geometry.dilation
        stride_1x1, stride_3x3 = (1, stride) if in_3x3 else (stride, 1)
        padding = "SAME" if stride_3x3 == 1 else ((1, 1), (1, 1))

        shortcut = features
        if is_first:
            shortcut = self.conv(f"{name}_0_conv", 4 * inner, 1, stride=stride)(features)
            shortcut = self.normalise(f"{name}_0_bn", shortcut, train)
        features = self.conv(f"{name}_1_conv", inner, 1, stride=stride_1x1)(features)
        features = nn.relu(self.normalise(f"{name}_1_bn", features, train))
        features = self.conv(
            f"{name}_2_conv", inner, 3, stride=stride_3x3, padding=padding, dilation=dilation
        )(features)
        features = nn.relu(self.normalise(f"{name}_2_bn", features, train))
        features = self.conv(f"{name}_3_conv", 4 * inner, 1)(features)
        features = self.normalise(f"{name}_3_bn", features, train)
        return nn.relu(shortcut + features)

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
        """A convolution of this row."""
        variant = self.variant
        return Conv(
            features,
            kernel_px,
            use_bias=variant.conv_bias,
            kernel_init=variant.kernel_init,
            dtype=self.dtype,
            name=name,
            stride=stride,
            dilation=dilation,
            padding=padding,
        )

    def normalise(self, name: str, features: jax.Array, train: bool) -> jax.Array:
        """Batch norm of this row."""
        norm = BatchNorm(moving=self.moving, epsilon=self.variant.epsilon, dtype=self.dtype, name=name)
        return norm(features, train=train and not name.startswith(self.frozen_statistics))
