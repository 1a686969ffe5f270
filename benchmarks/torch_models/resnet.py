"""ResNet-50 as Keras has it (version 1: strides on the 1x1, biases), cut at conv4_block6_out, in PyTorch."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.torch_models.layers import BatchNorm, scaled

DEPTHS = (3, 4, 6)
EPSILON = 1.001e-5
# Of blue, green and red.
MEAN_BGR = (103.939, 116.779, 123.68)
# The block of conv2 that DeepLabV3+ takes.
LOW_LEVEL_BLOCK = 2


class ResNet(nn.Module):
    """The encoder; `encoder(raw)` gives the taps by the names of the package's `Pyramid`.

    Attributes:
      channels: of each tap.
    """

    def __init__(self, *, width: float = 1.0, depths: tuple[int, ...] = ()) -> None:
        super().__init__()
        depths = depths or DEPTHS
        channels = scaled(64, width)
        self.channels = {"image": 3, "stride2": channels}
        mean = torch.tensor(MEAN_BGR, dtype=torch.float64).reshape(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.conv1_conv = nn.Conv2d(3, channels, 7, stride=2, padding=3)
        self.conv1_bn = BatchNorm(channels, EPSILON)
        self.blocks: list[list[str]] = []
        for stage, depth in enumerate(depths, start=2):
            inner = scaled(64 * 2 ** (stage - 2), width)
            self.blocks.append([f"conv{stage}_block{block}" for block in range(1, depth + 1)])
            for block, name in enumerate(self.blocks[-1]):
                first = block == 0
                stride = 2 if first and stage > 2 else 1
                layers = [
                    ("1", channels, inner, 1, stride),
                    ("2", inner, inner, 3, 1),
                    ("3", inner, 4 * inner, 1, 1),
                ]
                if first:
                    layers.insert(0, ("0", channels, 4 * inner, 1, stride))
                for number, inputs, features, kernel_px, step in layers:
                    convolution = nn.Conv2d(inputs, features, kernel_px, stride=step, padding=kernel_px // 2)
                    self.add_module(f"{name}_{number}_conv", convolution)
                    self.add_module(f"{name}_{number}_bn", BatchNorm(features, EPSILON))
                channels = 4 * inner
            self.channels["stride4" if stage == 2 else f"stride{2**stage}"] = channels
        self.channels["stride4_low_level"] = self.channels["stride4"]
        self.channels["output"] = channels

    def forward(self, raw: torch.Tensor) -> dict[str, torch.Tensor]:
        """Raw RGB [N, 3, H, W], floating, 0..255."""
        taps = {"image": raw}
        features = self.conv1_bn(self.conv1_conv(raw.flip(1) - self.mean.to(raw.dtype)))
        taps["stride2"] = features = F.relu(features, inplace=True)
        # Keras pads with zeros, PyTorch with minus infinity: after a ReLU it is the same.
        features = F.max_pool2d(features, 3, stride=2, padding=1)
        for stride, names in zip(("stride4", "stride8", "stride16"), self.blocks, strict=True):
            for number, name in enumerate(names, start=1):
                features = self.bottleneck(name, features, is_first=number == 1)
                if stride == "stride4" and number <= LOW_LEVEL_BLOCK:
                    taps["stride4_low_level"] = features
            taps[stride] = features
        return {**taps, "output": features}

    def bottleneck(self, name: str, features: torch.Tensor, *, is_first: bool) -> torch.Tensor:
        """1x1, 3x3, 1x1 to four times the channels; plus shortcut; ReLU."""
        shortcut = self.conv_norm(f"{name}_0", features) if is_first else features
        features = F.relu(self.conv_norm(f"{name}_1", features), inplace=True)
        features = F.relu(self.conv_norm(f"{name}_2", features), inplace=True)
        features = self.conv_norm(f"{name}_3", features)
        return F.relu(features.add_(shortcut), inplace=True)

    def conv_norm(self, name: str, features: torch.Tensor) -> torch.Tensor:
        """A convolution and its batch norm."""
        return getattr(self, f"{name}_bn")(getattr(self, f"{name}_conv")(features))
