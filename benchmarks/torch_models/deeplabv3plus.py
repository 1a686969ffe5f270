"""The paper's DeepLabV3+ decoders in PyTorch."""

import dataclasses

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.torch_models.layers import ConvBatchNormRelu, resize_bilinear, scaled


@dataclasses.dataclass(frozen=True)
class DeepLabV3PlusVariant:
    """A row of the DeepLabV3+ table."""

    aspp_features: int
    low_level_features: int
    decoder_convs: int
    rates: tuple[int, ...] = (6, 12, 18)


DEEPLABV3PLUS_RESNET50 = DeepLabV3PlusVariant(512, 128, 2)
DEEPLABV3PLUS_EFFICIENTNET = DeepLabV3PlusVariant(256, 256, 4)


class DeepLabV3Plus(nn.Module):
    """The decoder; `decoder(taps) -> [N, features, H/4, W/4]`."""

    def __init__(
        self, variant: DeepLabV3PlusVariant, taps: dict[str, int], *, dropout: float, width: float = 1.0
    ) -> None:
        super().__init__()
        self.rates, self.decoder_convs, self.dropout = variant.rates, variant.decoder_convs, dropout
        inputs, self.features = taps["output"], scaled(variant.aspp_features, width)
        features, low_level = self.features, scaled(variant.low_level_features, width)

        def block(inputs: int, features: int, kernel_px: int, dilation: int = 1) -> ConvBatchNormRelu:
            return ConvBatchNormRelu(inputs, features, kernel_px, bias=False, dilation=dilation)

        self.aspp_pool = block(inputs, features, 1)
        self.aspp_1x1 = block(inputs, features, 1)
        for rate in variant.rates:
            self.add_module(f"aspp_rate_{rate}", block(inputs, features, 3, dilation=rate))
        self.aspp_projection = block((2 + len(variant.rates)) * features, features, 1)
        self.low_level = block(taps["stride4_low_level"], low_level, 1)
        joined = features + low_level
        for index in range(1, variant.decoder_convs + 1):
            self.add_module(f"decoder_{index}", block(joined if index == 1 else features, features, 3))

    def forward(self, taps: dict[str, torch.Tensor]) -> torch.Tensor:
        """ASPP on the encoder's output, joined with the low-level tap at stride 4."""
        features = self.atrous_spatial_pyramid_pooling(taps["output"])
        low_level = self.low_level(taps["stride4_low_level"])
        features = torch.cat([resize_bilinear(features, low_level.shape[2:]), low_level], dim=1)
        for index in range(1, self.decoder_convs + 1):
            features = self.get_submodule(f"decoder_{index}")(features)
        return F.dropout(features, self.dropout, self.training)

    def atrous_spatial_pyramid_pooling(self, features: torch.Tensor) -> torch.Tensor:
        """Five branches on one map, concatenated and projected."""
        pooled = self.aspp_pool(F.adaptive_avg_pool2d(features, 1))
        branches = [resize_bilinear(pooled, features.shape[2:]), self.aspp_1x1(features)]
        branches += [self.get_submodule(f"aspp_rate_{rate}")(features) for rate in self.rates]
        return F.dropout(self.aspp_projection(torch.cat(branches, dim=1)), self.dropout, self.training)
