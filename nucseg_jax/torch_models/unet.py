"""`models.unet` in PyTorch."""

from collections.abc import Mapping

from nucseg_jax.models.layers import scaled
from nucseg_jax.torch_models.layers import Layers, Tensor, concatenate, conv_norm_relu, relu
from nucseg_jax.torch_models.sizes import DecoderSizes


def unet(decoder: DecoderSizes, layers: Layers, taps: Mapping[str, Tensor]) -> Tensor:
    """Climbs from the encoder's output to the image's own resolution.

    Args:
      decoder: its sizes.
      layers: its layers.
      taps: of the encoder, by the names of `Pyramid`.

    Returns:
      [N, D, H, W].
    """
    variant = decoder.variant
    features = taps["output"]
    if variant.bridge_features is not None:
        features = _pair(decoder, layers, "bridge", features, variant.bridge_features, variant.bridge_dropout)
    levels = zip(variant.features, variant.skips, variant.level_dropout, strict=True)
    for level, (channels, skip, share) in enumerate(levels, start=1):
        features = _upsample(decoder, layers, f"level{level}_transpose", features, channels)
        if skip in taps:
            # The raw image is float32, and would make the joined map float32 under autocast.
            features = concatenate(features, taps[skip].to(features.dtype))
        features = _pair(decoder, layers, f"level{level}", features, channels, share)
    return features


def _pair(
    decoder: DecoderSizes, layers: Layers, name: str, features: Tensor, channels: int, dropout_share: float
) -> Tensor:
    """Twice [3x3, bias, batch norm, ReLU] with dropout between the two."""
    channels = scaled(channels, decoder.width)
    features = conv_norm_relu(layers, f"{name}_1", features, channels, 3, bias=True, moving=decoder.moving)
    features = layers.dropout(features, decoder.dropout * dropout_share)
    return conv_norm_relu(layers, f"{name}_2", features, channels, 3, bias=True, moving=decoder.moving)


def _upsample(decoder: DecoderSizes, layers: Layers, name: str, features: Tensor, channels: int) -> Tensor:
    """Transposed convolution of stride 2, with batch norm and ReLU where the variant has them."""
    variant = decoder.variant
    has_norm = variant.transpose_batch_norm
    features = layers.conv_transpose(
        name, features, scaled(channels, decoder.width), variant.transpose_kernel_px, bias=not has_norm
    )
    if not has_norm:
        return features
    return relu(layers.batch_norm(f"{name}_batch_norm", features, decoder.moving))
