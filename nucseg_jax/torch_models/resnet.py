"""`models.resnet` in PyTorch."""

from nucseg_jax.models.atrous import StageGeometry, stage_geometries
from nucseg_jax.models.layers import scaled
from nucseg_jax.models.resnet import (
    BOTTLENECK_FEATURES,
    LOW_LEVEL_BLOCK,
    STEM_FEATURES,
    STEM_KERNEL_PX,
    STRIDES,
)
from nucseg_jax.torch_models.layers import Layers, Tensor, max_pool_3x3_stride_2, relu
from nucseg_jax.torch_models.sizes import EncoderSizes


def resnet(encoder: EncoderSizes, layers: Layers, raw: Tensor) -> dict[str, Tensor]:
    """Computes the taps of `Pyramid` by name.

    Args:
      encoder: its sizes.
      layers: its layers.
      raw: RGB [N, 3, H, W], floating, 0..255.
    """
    variant = encoder.variant
    stem = scaled(STEM_FEATURES, encoder.width)
    features = layers.preprocess(raw, variant.preprocessing)
    features = layers.conv(
        "conv1_conv", features, stem, STEM_KERNEL_PX, stride=2, padding=(3, 3), bias=variant.conv_bias
    )
    taps = {"image": raw}
    taps["stride2"] = relu(layers.batch_norm("conv1_bn", features, encoder.moving, variant.epsilon))
    features = max_pool_3x3_stride_2(taps["stride2"])

    depths = encoder.depths
    geometries = stage_geometries(STRIDES[: len(depths)], stem_stride=4, output_stride=encoder.output_stride)
    ends = []
    for stage, (depth, geometry) in enumerate(zip(depths, geometries, strict=True), start=2):
        inner = scaled(BOTTLENECK_FEATURES[stage - 2], encoder.width)
        for block in range(1, depth + 1):
            name = f"conv{stage}_block{block}"
            features = bottleneck(
                encoder, layers, name, features, inner=inner, geometry=geometry, is_first=block == 1
            )
            if stage == 2 and block <= LOW_LEVEL_BLOCK:
                taps["stride4_low_level"] = features
        ends.append(features)
    taps |= {"stride4": ends[0], "stride8": ends[1], "output": features}
    if geometries[2].output_stride == 16:
        taps["stride16"] = ends[2]
    return taps


def bottleneck(
    encoder: EncoderSizes,
    layers: Layers,
    name: str,
    features: Tensor,
    *,
    inner: int,
    geometry: StageGeometry,
    is_first: bool,
) -> Tensor:
    """Computes 1x1, 3x3, 1x1 to four times the channels; plus shortcut; ReLU; arguments as in the linen module."""
    variant = encoder.variant
    stride = geometry.stride if is_first else 1
    in_3x3 = variant.stride_in_3x3
    dilation = geometry.dilation_before if is_first and in_3x3 else geometry.dilation
    stride_1x1, stride_3x3 = (1, stride) if in_3x3 else (stride, 1)
    # PyTorch's padding, the same on both sides, of a 3x3 that has the stride.
    padding = None if stride_3x3 == 1 else (1, 1)

    def conv_norm(
        number: int, image: Tensor, channels: int, kernel_px: int, stride: int = 1, dilation: int = 1
    ) -> Tensor:
        image = layers.conv(
            f"{name}_{number}_conv",
            image,
            channels,
            kernel_px,
            bias=variant.conv_bias,
            padding=padding if kernel_px == 3 else None,
            stride=stride,
            dilation=dilation,
        )
        return layers.batch_norm(f"{name}_{number}_bn", image, encoder.moving, variant.epsilon)

    shortcut = conv_norm(0, features, 4 * inner, 1, stride=stride) if is_first else features
    features = relu(conv_norm(1, features, inner, 1, stride=stride_1x1))
    features = relu(conv_norm(2, features, inner, 3, stride=stride_3x3, dilation=dilation))
    features = conv_norm(3, features, 4 * inner, 1)
    return relu(features.add_(shortcut))
