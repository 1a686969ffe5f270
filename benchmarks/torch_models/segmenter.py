"""The paper's four models in PyTorch, layer for layer those of the package: raw RGB in, one logit a pixel out."""

import torch
from torch import nn

from benchmarks.torch_models.deeplabv3plus import (
    DEEPLABV3PLUS_EFFICIENTNET,
    DEEPLABV3PLUS_RESNET50,
    DeepLabV3Plus,
)
from benchmarks.torch_models.efficientnet import EfficientNet
from benchmarks.torch_models.layers import resize_bilinear
from benchmarks.torch_models.resnet import ResNet
from benchmarks.torch_models.unet import UNET_EFFICIENTNET, UNET_RESNET50, UNet

DECODERS = {
    ("unet", "resnet50"): (UNet, UNET_RESNET50),
    ("unet", "efficientnet_b4"): (UNet, UNET_EFFICIENTNET),
    ("deeplabv3plus", "resnet50"): (DeepLabV3Plus, DEEPLABV3PLUS_RESNET50),
    ("deeplabv3plus", "efficientnet_b4"): (DeepLabV3Plus, DEEPLABV3PLUS_EFFICIENTNET),
}


class Segmenter(nn.Module):
    """A segmentation model: `encoder`, `decoder`, `head`."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.head = nn.Conv2d(decoder.features, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """uint8 or floating RGB [N, 3, H, W], 0..255, stored channels_last -> logits [N, 1, H, W].

        The logits are of the parameters' dtype, whatever autocast computes in. The head comes before the last
        bilinear magnification, which it commutes with: cheaper here as there.
        """
        raw = image.to(self.head.weight.dtype)
        logits = self.head(self.decoder(self.encoder(raw))).to(raw.dtype)
        if logits.shape[2:] != image.shape[2:]:
            logits = resize_bilinear(logits, image.shape[2:])
        return logits


def build_segmenter(
    *,
    encoder: str,
    decoder: str,
    dropout: float,
    drop_connect: float,
    width: float = 1.0,
    encoder_depths: tuple[int, ...] = (),
) -> Segmenter:
    """One of the four, with random weights; arguments as in the package's function of that name."""
    module, variant = DECODERS[decoder, encoder]
    if encoder == "resnet50":
        built = ResNet(width=width, depths=encoder_depths)
    else:
        built = EfficientNet(drop_connect=drop_connect, width=width, depths=encoder_depths)
    model = Segmenter(built, module(variant, built.channels, dropout=dropout, width=width))
    return model.to(memory_format=torch.channels_last)


def added_kernels(model: Segmenter) -> list[nn.Parameter]:
    """What L2 acts on in the paper: the kernels of the convolutions outside the encoder, head included."""
    convolutions = (nn.Conv2d, nn.ConvTranspose2d)
    return [
        layer.weight
        for part in (model.decoder, model.head)
        for layer in part.modules()
        if isinstance(layer, convolutions)
    ]
