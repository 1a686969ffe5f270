"""Layers of the PyTorch models: Keras's paddings, epsilons and momenta, PyTorch's own kernels.

Notation: [N, C, H, W], stored channels_last. Modules carry the names that the package's modules have.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

KERAS_EPSILON = 1e-3
# What a step adds of the new statistics: 1 minus Keras's momentum of 0.99.
MOMENTUM = 0.01


class BatchNorm(nn.Module):
    """nn.BatchNorm2d without its count of batches, which a fixed momentum does not need."""

    def __init__(self, features: int, epsilon: float = KERAS_EPSILON) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] -> the same shape."""
        return F.batch_norm(
            image,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            MOMENTUM,
            self.epsilon,
        )


class StridedConv(nn.Conv2d):
    """A convolution of stride 2 with TensorFlow's 'SAME' padding: what is odd goes to the right and the bottom."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] -> [N, D, ceil(H / 2), ceil(W / 2)]."""
        padding: list[int] = []
        # F.pad wants the last axis first.
        for extent, taps in ((image.shape[3], self.kernel_size[1]), (image.shape[2], self.kernel_size[0])):
            total = taps - 2 + extent % 2
            padding += [total // 2, total - total // 2]
        return F.conv2d(F.pad(image, padding), self.weight, self.bias, stride=2, groups=self.groups)


def conv(
    inputs: int,
    features: int,
    kernel_px: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    bias: bool,
    groups: int = 1,
) -> nn.Conv2d:
    """A 'same' convolution; 1x1 convolutions pad nothing at any stride."""
    if stride == 2 and kernel_px > 1:
        return StridedConv(inputs, features, kernel_px, stride=2, bias=bias, groups=groups)
    return nn.Conv2d(
        inputs,
        features,
        kernel_px,
        stride=stride,
        padding=dilation * (kernel_px // 2),
        dilation=dilation,
        groups=groups,
        bias=bias,
    )


class ConvTranspose(nn.ConvTranspose2d):
    """Keras's Conv2DTranspose 'same' of stride 2, kernel 2 or 3: a kernel of 3 overhangs at the end, and is cut."""

    def __init__(self, inputs: int, features: int, kernel_px: int, *, bias: bool) -> None:
        super().__init__(inputs, features, kernel_px, stride=2, bias=bias)

    def forward(self, image: torch.Tensor, output_size: Any = None) -> torch.Tensor:
        """[N, C, H, W] -> [N, D, 2 H, 2 W]."""
        del output_size
        result = super().forward(image)
        height, width = 2 * image.shape[2], 2 * image.shape[3]
        return result if result.shape[2] == height else result[:, :, :height, :width]


class ConvBatchNormRelu(nn.Module):
    """The block both decoders are made of: `conv`, `batch_norm`, ReLU."""

    def __init__(self, inputs: int, features: int, kernel_px: int, *, bias: bool, dilation: int = 1) -> None:
        super().__init__()
        self.conv = conv(inputs, features, kernel_px, dilation=dilation, bias=bias)
        self.batch_norm = BatchNorm(features)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] -> [N, features, H, W]."""
        return F.relu(self.batch_norm(self.conv(image)), inplace=True)


def resize_bilinear(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear with half-pixel centres; one pixel becomes a constant without arithmetic."""
    if image.shape[2:] == (1, 1):
        return image.expand(-1, -1, *size)
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def scaled(channels: int, width: float) -> int:
    """`channels` times the width factor, to a multiple of 8 and at least 8; exact at width 1."""
    return channels if width == 1.0 else max(8, round(channels * width / 8) * 8)
