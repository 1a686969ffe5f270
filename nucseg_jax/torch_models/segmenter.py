"""`models.segmenter` in PyTorch: raw RGB in, the channels of the last convolution out."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from nucseg_jax.models.convnext import ConvNeXt
from nucseg_jax.models.deeplabv3plus import DeepLabV3Plus
from nucseg_jax.models.efficientnet import EfficientNet
from nucseg_jax.models.fpn import FPN
from nucseg_jax.models.resnet import ResNet
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.models.unet import UNet
from nucseg_jax.ops.outputs import output_channels
from nucseg_jax.torch_models import deeplabv3plus, fpn
from nucseg_jax.torch_models.convnext import convnext
from nucseg_jax.torch_models.efficientnet import efficientnet
from nucseg_jax.torch_models.layers import Layers, Tensor, upsample_bilinear
from nucseg_jax.torch_models.resnet import resnet
from nucseg_jax.torch_models.sizes import decoder_sizes, encoder_sizes
from nucseg_jax.torch_models.unet import unet


class DecoderTwin(NamedTuple):
    """A decoder in PyTorch.

    Attributes:
      features: function of the decoder's sizes, its layers and the taps.
      stride: of the features.
    """

    features: Callable[..., Tensor]
    stride: int


# By the linen module that each repeats.
ENCODERS: dict[type, Callable[..., dict[str, Tensor]]] = {
    ResNet: resnet,
    EfficientNet: efficientnet,
    ConvNeXt: convnext,
}
DECODERS: dict[type, DecoderTwin] = {
    UNet: DecoderTwin(unet, 1),
    DeepLabV3Plus: DecoderTwin(deeplabv3plus.deeplabv3plus, deeplabv3plus.STRIDE),
    FPN: DecoderTwin(fpn.fpn, fpn.STRIDE),
}


def build_torch_segmenter(model: Segmenter) -> Any:
    """Builds a model in PyTorch with weights drawn by PyTorch; `weights.load_variables` loads the package's.

    Args:
      model: such as `create_model` gives.

    Returns:
      torch.nn.Module, in training mode, with parts `encoder`, `decoder` and `head`, stored channels_last:
      `model(image)` from uint8 or floating RGB [N, 3, H, W], 0..255, H and W multiples of the encoder's output stride,
      to [N, `output_channels`, H, W] of the parameters' dtype, whatever autocast computes in.

    Raises:
      ImportError: PyTorch is not installed.
    """
    import torch

    built = _torch_segmenter_class()(model)
    # Layers are made at their first call; PyTorch's group norm refuses a single pixel.
    px = 2 * model.encoder.output_stride
    with torch.no_grad():
        built.eval()(torch.zeros(1, 3, px, px))
    return built.train().to(memory_format=torch.channels_last)


def added_kernels(model: Any) -> list[Any]:
    """Returns what L2 acts on in the paper: the kernels of the convolutions outside the encoder, head included."""
    from torch import nn

    return [
        layer.weight
        for part in (model.decoder, model.head)
        for layer in part.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]


@functools.cache
def _torch_segmenter_class() -> type:
    """Returns the class, which needs PyTorch where it is defined."""
    from torch import nn

    class TorchSegmenter(nn.Module):
        """A segmentation model: `encoder`, `decoder`, `head`."""

        def __init__(self, model: Segmenter) -> None:
            super().__init__()
            encoder = model.encoder
            self.encoder_sizes = encoder_sizes(encoder)
            self.decoder_sizes = decoder_sizes(model.decoder, encoder.output_stride)
            self.compute_taps = ENCODERS[type(encoder)]
            self.compute_features, self.stride = DECODERS[type(model.decoder)]
            self.channels = output_channels(model.num_classes, model.map_channels)

        def forward(self, image: Tensor) -> Tensor:
            """Computes the channels of the last convolution, which comes before the last upsampling, as in linen."""
            layers = Layers(self)
            dtype = self.head.weight.dtype if hasattr(self, "head") else image.dtype
            raw = image.to(dtype)
            taps = self.compute_taps(self.encoder_sizes, layers.part("encoder"), raw)
            features = self.compute_features(self.decoder_sizes, layers.part("decoder"), taps)
            logits = layers.conv("head", features, self.channels, 1, bias=True).to(dtype)
            return upsample_bilinear(logits, self.stride)

    return TorchSegmenter
