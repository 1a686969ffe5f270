"""`models.deeplabv3plus` in PyTorch."""

from collections.abc import Mapping

from nucseg_jax.models.layers import scaled
from nucseg_jax.torch_models.layers import (
    Layers,
    Tensor,
    concatenate,
    conv_norm_relu,
    global_average_pool,
    upsample_bilinear,
)
from nucseg_jax.torch_models.sizes import DecoderSizes

# Of its features.
STRIDE = 4


def deeplabv3plus(decoder: DecoderSizes, layers: Layers, taps: Mapping[str, Tensor]) -> Tensor:
    """Joins atrous pyramid pooling of the encoder's output with the low-level tap; arguments as in `unet.unet`.

    Returns:
      [N, D, H/4, W/4].
    """
    variant = decoder.variant

    def conv(name: str, image: Tensor, features: int, kernel_px: int, dilation: int = 1) -> Tensor:
        features = scaled(features, decoder.width)
        return conv_norm_relu(
            layers, name, image, features, kernel_px, bias=False, moving=decoder.moving, dilation=dilation
        )

    output, width = taps["output"], variant.aspp_features
    pooled = conv("aspp_pool", global_average_pool(output), width, 1)
    branches = [pooled.expand(-1, -1, *output.shape[2:]), conv("aspp_1x1", output, width, 1)]
    for rate in variant.atrous_rates:
        branches.append(conv(f"aspp_rate_{rate}", output, width, 3, rate * 16 // decoder.output_stride))
    features = conv("aspp_projection", concatenate(*branches), width, 1)
    features = layers.dropout(features, decoder.dropout)

    low_level = conv("low_level", taps["stride4_low_level"], variant.low_level_features, 1)
    features = concatenate(upsample_bilinear(features, decoder.output_stride // STRIDE), low_level)
    for index in range(1, variant.decoder_convs + 1):
        features = conv(f"decoder_{index}", features, width, 3)
    return layers.dropout(features, decoder.dropout)
