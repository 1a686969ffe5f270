"""`models.convnext` in PyTorch."""

from nucseg_jax.models.atrous import StageGeometry, stage_geometries
from nucseg_jax.models.convnext import EPSILON, EXPANSION, KERNEL_PX, PATCH_PX, STRIDES, block_drop_rate
from nucseg_jax.models.layers import scaled
from nucseg_jax.torch_models.layers import Layers, Tensor, gelu
from nucseg_jax.torch_models.sizes import EncoderSizes


def convnext(encoder: EncoderSizes, layers: Layers, raw: Tensor) -> dict[str, Tensor]:
    """Computes the taps of `Pyramid` by name; arguments as in `resnet.resnet`."""
    widths = [scaled(features, encoder.width) for features in encoder.variant.features]
    features = layers.preprocess(raw, encoder.preprocessing)
    features = layers.conv(
        "stem_0", features, widths[0], PATCH_PX, stride=PATCH_PX, padding=(0, 0), bias=True
    )
    features = layers.layer_norm("stem_1", features, EPSILON)

    depths = encoder.depths
    geometries = stage_geometries(
        STRIDES[: len(depths)], stem_stride=PATCH_PX, output_stride=encoder.output_stride
    )
    blocks_before, ends = 0, []
    for number, (depth, geometry) in enumerate(zip(depths, geometries, strict=True)):
        name = f"stages_{number}"
        if number:
            features = _downsample(layers, f"{name}_downsample", features, widths[number], geometry)
        for block in range(depth):
            rate = block_drop_rate(encoder.variant, encoder.drop_connect, blocks_before + block)
            features = _block(layers, f"{name}_blocks_{block}", features, geometry.dilation, rate)
        blocks_before += depth
        ends.append(features)
    taps = {
        "image": raw,
        "stride4_low_level": ends[0],
        "stride4": ends[0],
        "stride8": ends[1],
        "output": features,
    }
    return {**taps, "stride16": ends[2]} if geometries[2].output_stride == 16 else taps


def _downsample(layers: Layers, name: str, features: Tensor, width: int, geometry: StageGeometry) -> Tensor:
    """Layer norm, then 2x2 to the next stage's channels; padding as in the linen module."""
    features = layers.layer_norm(f"{name}_0", features, EPSILON)
    dilation = geometry.dilation_before
    padding = (0, 0) if geometry.stride > 1 else (dilation // 2, (dilation + 1) // 2)
    return layers.conv(
        f"{name}_1",
        features,
        width,
        2,
        stride=geometry.stride,
        dilation=dilation,
        padding=padding,
        bias=True,
    )


def _block(layers: Layers, name: str, entry: Tensor, dilation: int, rate: float) -> Tensor:
    """Depthwise 7x7, layer norm, 1x1 to four times the channels, GELU, 1x1 back, layer scale; plus shortcut."""
    width = entry.shape[1]
    features = layers.conv(
        f"{name}_conv_dw", entry, width, KERNEL_PX, dilation=dilation, bias=True, depthwise=True
    )
    features = layers.layer_norm(f"{name}_norm", features, EPSILON)
    features = gelu(layers.conv(f"{name}_mlp_fc1", features, EXPANSION * width, 1, bias=True))
    features = layers.conv(f"{name}_mlp_fc2", features, width, 1, bias=True)
    return layers.add_branch(layers.layer_scale(f"{name}_layer_scale", features), entry, rate)
