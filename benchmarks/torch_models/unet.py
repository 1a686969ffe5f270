"""The paper's U-Net decoders in PyTorch."""

import dataclasses

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.torch_models.layers import BatchNorm, ConvBatchNormRelu, ConvTranspose, scaled


@dataclasses.dataclass(frozen=True)
class UNetVariant:
    """A row of the U-Net table; dropout of bridge and levels is a share of the model's rate."""

    bridge: int | None
    features: tuple[int, ...]
    skips: tuple[str | None, ...]
    transpose_kernel_px: int
    transpose_batch_norm: bool
    level_dropout: tuple[float, ...]


UNET_RESNET50 = UNetVariant(
    bridge=256,
    features=(256, 128, 64, 64),
    skips=("stride8", "stride4", "stride2", None),
    transpose_kernel_px=3,
    transpose_batch_norm=True,
    level_dropout=(5 / 7, 5 / 7, 2 / 7, 2 / 7),
)
UNET_EFFICIENTNET = UNetVariant(
    bridge=None,
    features=(512, 256, 128, 64),
    skips=("stride8", "stride4", "stride2", "image"),
    transpose_kernel_px=2,
    transpose_batch_norm=False,
    level_dropout=(1.0, 1.0, 0.5, 0.5),
)


class UNet(nn.Module):
    """The decoder; `decoder(taps) -> [N, features, H, W]`."""

    def __init__(
        self, variant: UNetVariant, taps: dict[str, int], *, dropout: float, width: float = 1.0
    ) -> None:
        super().__init__()
        self.variant, self.dropout = variant, dropout
        channels = taps["output"]
        if variant.bridge is not None:
            channels = self.add_pair("bridge", channels, scaled(variant.bridge, width))
        for level, (wanted, skip) in enumerate(zip(variant.features, variant.skips, strict=True), start=1):
            features, name = scaled(wanted, width), f"level{level}_transpose"
            bias = not variant.transpose_batch_norm
            self.add_module(name, ConvTranspose(channels, features, variant.transpose_kernel_px, bias=bias))
            if variant.transpose_batch_norm:
                self.add_module(f"{name}_batch_norm", BatchNorm(features))
            joined = features if skip is None else features + taps[skip]
            channels = self.add_pair(f"level{level}", joined, features)
        self.features = channels

    def add_pair(self, name: str, inputs: int, features: int) -> int:
        """Two 3x3 blocks; gives back their channels."""
        self.add_module(f"{name}_1", ConvBatchNormRelu(inputs, features, 3, bias=True))
        self.add_module(f"{name}_2", ConvBatchNormRelu(features, features, 3, bias=True))
        return features

    def forward(self, taps: dict[str, torch.Tensor]) -> torch.Tensor:
        """Climbs from the encoder's output to the image's own resolution."""
        variant = self.variant
        features = taps["output"]
        if variant.bridge is not None:
            features = self.pair("bridge", features, self.dropout)
        for level, (skip, share) in enumerate(
            zip(variant.skips, variant.level_dropout, strict=True), start=1
        ):
            name = f"level{level}_transpose"
            features = self.get_submodule(name)(features)
            if variant.transpose_batch_norm:
                features = F.relu(self.get_submodule(f"{name}_batch_norm")(features), inplace=True)
            if skip is not None:
                # The raw image is float32, and would make the joined map float32 under autocast.
                features = torch.cat([features, taps[skip].to(features.dtype)], dim=1)
            features = self.pair(f"level{level}", features, self.dropout * share)
        return features

    def pair(self, name: str, features: torch.Tensor, rate: float) -> torch.Tensor:
        """Two 3x3 blocks with dropout between them."""
        features = F.dropout(self.get_submodule(f"{name}_1")(features), rate, self.training)
        return self.get_submodule(f"{name}_2")(features)
