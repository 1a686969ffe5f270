"""EfficientNet-B4 as Keras has it, cut at block6a_expand_activation, in PyTorch."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.torch_models.layers import BatchNorm, conv, scaled

STEM = 48
# Blocks, channels, kernel, stride and expansion of block1 to block5; block6a is only expanded.
STAGES = ((2, 24, 3, 1, 1), (4, 32, 3, 2, 6), (4, 56, 5, 2, 6), (6, 112, 3, 2, 6), (6, 160, 5, 1, 6))
LAST_EXPANSION = 6
# Of the whole network: drop-connect rises over all of them.
BLOCKS = 32
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class Normalization(nn.Module):
    """(raw / 255 - mean) / sqrt(variance) by constants that come with the weights: Keras's seven values."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN))
        self.register_buffer("variance", torch.tensor(DEVIATION).square())
        self.register_buffer("count", torch.zeros(()))

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """Floating [N, 3, H, W], 0..255 -> the same shape."""
        factor = self.variance.rsqrt().reshape(1, 3, 1, 1)
        # One pass over the image.
        return torch.addcmul(-self.mean.reshape(1, 3, 1, 1) * factor, raw, factor / 255.0)


class EfficientNet(nn.Module):
    """The encoder; `encoder(raw)` gives the taps by the names of the package's `Pyramid`.

    Attributes:
      channels: of each tap.
    """

    def __init__(self, *, drop_connect: float, width: float = 1.0, depths: tuple[int, ...] = ()) -> None:
        super().__init__()
        depths = depths or tuple(stage[0] for stage in STAGES)
        blocks = sum(depths) + BLOCKS - sum(stage[0] for stage in STAGES)
        channels = scaled(STEM, width)
        self.normalization = Normalization()
        self.stem_conv = conv(3, channels, 3, stride=2, bias=False)
        self.stem_bn = BatchNorm(channels)
        self.channels = {"image": 3}
        # Name, whether it expands, whether it has a shortcut, the rate at which its branch is dropped.
        self.blocks: list[tuple[str, bool, bool, float]] = []
        for number, (depth, (_, features, kernel_px, stride, expansion)) in enumerate(
            zip(depths, STAGES, strict=True), start=1
        ):
            features = scaled(features, width)
            for block in range(depth):
                name = f"block{number}{chr(ord('a') + block)}"
                step = stride if block == 0 else 1
                inner = channels * expansion
                if block == 0:
                    self.channels[f"block{number}"] = inner
                if expansion > 1:
                    self.add_conv_norm(f"{name}_expand", channels, inner)
                depthwise = conv(inner, inner, kernel_px, stride=step, bias=False, groups=inner)
                self.add_module(f"{name}_dwconv", depthwise)
                self.add_module(f"{name}_bn", BatchNorm(inner))
                squeezed = max(1, channels // 4)
                self.add_module(f"{name}_se_reduce", nn.Conv2d(inner, squeezed, 1))
                self.add_module(f"{name}_se_expand", nn.Conv2d(squeezed, inner, 1))
                self.add_conv_norm(f"{name}_project", inner, features)
                rate = drop_connect * len(self.blocks) / blocks
                has_shortcut = step == 1 and channels == features
                self.blocks.append((name, expansion > 1, has_shortcut, rate))
                channels = features
        self.add_conv_norm("block6a_expand", channels, channels * LAST_EXPANSION)
        self.channels["block6"] = channels * LAST_EXPANSION
        for tap, block in (
            ("stride2", 2),
            ("stride4", 3),
            ("stride4_low_level", 3),
            ("stride8", 4),
            ("output", 6),
        ):
            self.channels[tap] = self.channels[f"block{block}"]

    def add_conv_norm(self, name: str, inputs: int, features: int) -> None:
        """A 1x1 convolution and its batch norm."""
        self.add_module(f"{name}_conv", nn.Conv2d(inputs, features, 1, bias=False))
        self.add_module(f"{name}_bn", BatchNorm(features))

    def forward(self, raw: torch.Tensor) -> dict[str, torch.Tensor]:
        """Raw RGB [N, 3, H, W], floating, 0..255."""
        expanded = {}
        features = self.silu(self.stem_bn(self.stem_conv(self.normalization(raw))))
        for name, expands, has_shortcut, rate in self.blocks:
            entry = features
            if expands:
                features = self.silu(self.conv_norm(f"{name}_expand", features))
            expanded.setdefault(name[:-1], features)
            features = self.filter_and_project(name, features)
            if has_shortcut:
                features = self.join(features, entry, rate)
        output = self.silu(self.conv_norm("block6a_expand", features))
        return {
            "image": raw,
            "stride2": expanded["block2"],
            "stride4_low_level": expanded["block3"],
            "stride4": expanded["block3"],
            "stride8": expanded["block4"],
            "output": output,
        }

    def filter_and_project(self, name: str, features: torch.Tensor) -> torch.Tensor:
        """Depthwise convolution, squeeze-and-excite, 1x1 to the output."""
        layer = self.get_submodule
        features = self.silu(layer(f"{name}_bn")(layer(f"{name}_dwconv")(features)))
        gate = F.adaptive_avg_pool2d(features, 1)
        gate = self.silu(layer(f"{name}_se_reduce")(gate))
        gate = torch.sigmoid(layer(f"{name}_se_expand")(gate))
        return self.conv_norm(f"{name}_project", features * gate)

    def join(self, features: torch.Tensor, entry: torch.Tensor, rate: float) -> torch.Tensor:
        """The shortcut; in training the branch is dropped for a whole image at this rate."""
        if not self.training or rate == 0.0:
            return features.add_(entry)
        keep = torch.empty(features.shape[0], 1, 1, 1, dtype=features.dtype, device=features.device)
        keep.bernoulli_(1.0 - rate).div_(1.0 - rate)
        return torch.addcmul(entry, features, keep)

    def conv_norm(self, name: str, features: torch.Tensor) -> torch.Tensor:
        """A 1x1 convolution and its batch norm."""
        return self.get_submodule(f"{name}_bn")(self.get_submodule(f"{name}_conv")(features))

    def silu(self, features: torch.Tensor) -> torch.Tensor:
        """In place where no gradient needs what was there: PyTorch would keep a copy of it."""
        return F.silu(features, inplace=not self.training)
