"""`models.efficientnet` in PyTorch."""

from nucseg_jax.models.atrous import stage_geometries
from nucseg_jax.models.efficientnet import CUT_STAGE, SQUEEZE_RATIO, STEM_KERNEL_PX
from nucseg_jax.models.layers import scaled
from nucseg_jax.torch_models.layers import Layers, Tensor, global_average_pool
from nucseg_jax.torch_models.sizes import EncoderSizes


def efficientnet(encoder: EncoderSizes, layers: Layers, raw: Tensor) -> dict[str, Tensor]:
    """Computes the taps of `Pyramid` by name; arguments as in `resnet.resnet`."""
    variant = encoder.variant
    features = layers.normalise_raw("normalization", raw, encoder.preprocessing)
    stem = scaled(variant.stem_features, encoder.width)
    features = layers.conv("stem_conv", features, stem, STEM_KERNEL_PX, stride=2, bias=False)
    features = layers.silu(layers.batch_norm("stem_bn", features, encoder.moving))

    def conv_norm(name: str, image: Tensor, channels: int) -> Tensor:
        image = layers.conv(f"{name}_conv", image, channels, 1, bias=False)
        return layers.batch_norm(f"{name}_bn", image, encoder.moving)

    geometries = stage_geometries(
        [stage.stride for stage in variant.stages], stem_stride=2, output_stride=encoder.output_stride
    )
    expanded: dict[int, Tensor] = {}
    block_index, blocks = 0, sum(variant.depths)
    for number, (stage, geometry) in enumerate(zip(variant.stages, geometries, strict=True), start=1):
        for block in range(stage.depth):
            name = f"block{number}{chr(ord('a') + block)}"
            entry = features
            if stage.expansion > 1:
                inner = entry.shape[1] * stage.expansion
                features = layers.silu(conv_norm(f"{name}_expand", features, inner))
            if block == 0:
                expanded[number] = features
                if encoder.extent == "cut" and number == CUT_STAGE:
                    return _taps(encoder, raw, expanded, features)
            features = layers.conv(
                f"{name}_dwconv",
                features,
                features.shape[1],
                stage.kernel_px,
                stride=geometry.stride if block == 0 else 1,
                dilation=geometry.dilation_before if block == 0 else geometry.dilation,
                bias=False,
                depthwise=True,
            )
            features = layers.silu(layers.batch_norm(f"{name}_bn", features, encoder.moving))
            squeezed = max(1, int(entry.shape[1] * SQUEEZE_RATIO))
            features = features * _gate(layers, name, features, squeezed)
            features = conv_norm(f"{name}_project", features, scaled(stage.features, encoder.width))
            if (block > 0 or stage.stride == 1) and entry.shape[1] == features.shape[1]:
                features = layers.add_branch(features, entry, encoder.drop_connect * block_index / blocks)
            block_index += 1
    features = layers.silu(conv_norm("top", features, scaled(variant.top_features, encoder.width)))
    return _taps(encoder, raw, expanded, features)


def _gate(layers: Layers, name: str, features: Tensor, squeezed: int) -> Tensor:
    """Squeeze-and-excite: a factor for each channel of each image."""
    gate = global_average_pool(features)
    gate = layers.silu(layers.conv(f"{name}_se_reduce", gate, squeezed, 1, bias=True))
    return layers.conv(f"{name}_se_expand", gate, features.shape[1], 1, bias=True).sigmoid()


def _taps(
    encoder: EncoderSizes, raw: Tensor, expanded: dict[int, Tensor], output: Tensor
) -> dict[str, Tensor]:
    taps = {
        "image": raw,
        "stride2": expanded[2],
        "stride4_low_level": expanded[3],
        "stride4": expanded[3],
        "stride8": expanded[4],
        "output": output,
    }
    return {**taps, "stride16": expanded[6]} if encoder.output_stride >= 16 else taps
