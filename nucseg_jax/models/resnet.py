"""ResNet-50 v1 as Keras builds it (arXiv:1512.03385; keras.applications.ResNet50), cut at conv4_block6_out.

Layers carry Keras's names. It is v1: the stride of a stage sits on its first 1x1 convolution and on the
shortcut, and every convolution has a bias. torchvision's network of the same name differs in both.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nucseg_jax.models.layers import Conv, batch_norm, scaled
from nucseg_jax.models.pyramid import Pyramid
from nucseg_jax.ops.pool import max_pool_3x3_stride_2

BATCH_NORM_EPSILON = 1.001e-5
# Means of ImageNet in the order the Caffe models had: blue, green, red; 0..255.
BLUE_GREEN_RED_MEANS = (103.939, 116.779, 123.68)


@dataclasses.dataclass(frozen=True)
class ResNetVariant:
    """A row of the ResNet table.

    Attributes:
      stem_features: channels of conv1.
      bottleneck_features: inner channels of the stages conv2, conv3, conv4; a block's output has four times as many.
      depths: bottleneck blocks a stage.
      low_level_block: the block of conv2 that DeepLabV3+ takes, counted from 1.
    """

    stem_features: int
    bottleneck_features: tuple[int, ...]
    depths: tuple[int, ...]
    low_level_block: int


RESNET50 = ResNetVariant(
    stem_features=64, bottleneck_features=(64, 128, 256), depths=(3, 4, 6), low_level_block=2
)


class ResNet(nn.Module):
    """The encoder; `encoder(image, *, train) -> Pyramid`.

    Attributes:
      variant: which layers.
      width: factor on all channels, 1 = the published network.
      momentum: of the batch-norm moving statistics.
      dtype: dtype of computation.
    """

    variant: ResNetVariant
    width: float = 1.0
    momentum: float = 0.99
    dtype: Any = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> Pyramid:
        """Raw RGB [N, H, W, 3], 0..255, to the taps of `Pyramid`; H and W multiples of 16."""
        variant = self.variant
        raw = image.astype(jnp.float32)
        features = preprocess(raw)
        stem = scaled(variant.stem_features, self.width)
        features = Conv(stem, 7, stride=2, padding=((3, 3), (3, 3)), dtype=self.dtype, name="conv1_conv")(
            features
        )
        features = self.normalise("conv1_bn", features, train)
        stride2 = nn.relu(features)
        features = max_pool_3x3_stride_2(stride2)

        stage_outputs = []
        for stage, (inner, depth) in enumerate(
            zip(variant.bottleneck_features, variant.depths, strict=True), start=2
        ):
            blocks = []
            for block in range(1, depth + 1):
                features = self.bottleneck(
                    features,
                    name=f"conv{stage}_block{block}",
                    inner=scaled(inner, self.width),
                    # The stride of conv2 is the max pool's; later stages begin with their own.
                    stride=2 if block == 1 and stage > 2 else 1,
                    project=block == 1,
                    train=train,
                )
                blocks.append(features)
            stage_outputs.append(blocks)
        conv2, conv3, conv4 = stage_outputs
        return Pyramid(
            image=raw,
            stride2=stride2,
            stride4_low_level=conv2[min(variant.low_level_block, len(conv2)) - 1],
            stride4=conv2[-1],
            stride8=conv3[-1],
            stride16=conv4[-1],
        )

    def bottleneck(
        self, features: jax.Array, *, name: str, inner: int, stride: int, project: bool, train: bool
    ) -> jax.Array:
        """1x1 (strided), 3x3, 1x1 to four times the channels; plus shortcut; ReLU (Keras residual_block_v1)."""
        conv = dict(padding="SAME", dtype=self.dtype)
        shortcut = features
        if project:
            shortcut = Conv(4 * inner, 1, stride=stride, name=f"{name}_0_conv", **conv)(features)
            shortcut = self.normalise(f"{name}_0_bn", shortcut, train)
        features = Conv(inner, 1, stride=stride, name=f"{name}_1_conv", **conv)(features)
        features = nn.relu(self.normalise(f"{name}_1_bn", features, train))
        features = Conv(inner, 3, name=f"{name}_2_conv", **conv)(features)
        features = nn.relu(self.normalise(f"{name}_2_bn", features, train))
        features = Conv(4 * inner, 1, name=f"{name}_3_conv", **conv)(features)
        features = self.normalise(f"{name}_3_bn", features, train)
        return nn.relu(shortcut + features)

    def normalise(self, name: str, features: jax.Array, train: bool) -> jax.Array:
        """Batch norm with the epsilon of keras.applications' ResNets."""
        norm = batch_norm(name, momentum=self.momentum, dtype=self.dtype, epsilon=BATCH_NORM_EPSILON)
        return norm(features, use_running_average=not train)


def preprocess(image: jax.Array) -> jax.Array:
    """Float RGB 0..255 to blue-green-red minus ImageNet's means (keras resnet.preprocess_input, mode 'caffe')."""
    return image[..., ::-1] - jnp.asarray(BLUE_GREEN_RED_MEANS, image.dtype).reshape(1, 1, 1, 3)
