"""`models.fpn` in PyTorch."""

from collections.abc import Mapping

from nucseg_jax.models.fpn import LEVELS
from nucseg_jax.models.layers import scaled
from nucseg_jax.torch_models.layers import Layers, Tensor, relu, upsample_bilinear, upsample_nearest
from nucseg_jax.torch_models.sizes import DecoderSizes

# Of its features.
STRIDE = 4


def fpn(decoder: DecoderSizes, layers: Layers, taps: Mapping[str, Tensor]) -> Tensor:
    """Adds the upsampled coarser level to each level, and all segmentation branches; arguments as in `unet.unet`.

    Returns:
      [N, D, H/4, W/4].
    """
    channels = scaled(decoder.variant.pyramid_features, decoder.width)
    features = branches = None
    for tap, doublings in LEVELS:
        lateral = layers.conv(f"{tap}_lateral", taps[tap], channels, 1, bias=True)
        features = lateral if features is None else lateral + upsample_nearest(features, 2)
        branch = _segmentation_branch(decoder, layers, tap, features, doublings)
        branches = branch if branches is None else branches + branch
    return layers.dropout(branches, decoder.dropout)


def _segmentation_branch(
    decoder: DecoderSizes, layers: Layers, tap: str, features: Tensor, doublings: int
) -> Tensor:
    """Repeats [3x3, group norm, ReLU, upsampling by 2] until stride 4; there once, without upsampling."""
    channels = scaled(decoder.variant.segmentation_features, decoder.width)
    for number in range(1, max(doublings, 1) + 1):
        name = f"{tap}_segmentation_{number}"
        features = layers.conv(name, features, channels, 3, bias=False)
        features = relu(layers.group_norm(f"{name}_group_norm", features))
        if doublings:
            features = upsample_bilinear(features, 2)
    return features
