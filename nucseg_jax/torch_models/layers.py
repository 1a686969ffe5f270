"""Layers of the PyTorch models: PyTorch's own, with the package's paddings, epsilons and names.

A layer is made at its first call, as linen makes them, so that a network is written once, in the order in which it
computes. Notation: image [N, C, H, W], stored channels_last; H and W are multiples of the strides that follow.
"""

from collections.abc import Callable
from typing import Any

from nucseg_jax.models.layers import (
    GROUP_NORM_EPSILON,
    KERAS_BATCH_NORM_EPSILON,
    MovingStatistics,
    group_count,
)
from nucseg_jax.models.preprocessing import Preprocessing

# torch.Tensor, which is not imported here.
Tensor = Any
# Rows and columns of zeros before and after the image, on both axes.
Padding = tuple[int, int]


class Layers:
    """The layers of a model or of a part of it.

    Attributes:
      module: torch.nn.Module that holds them by name.
    """

    def __init__(self, module: Any) -> None:
        self.module = module

    def part(self, name: str) -> "Layers":
        """Returns the layers of a part, which has names of its own."""
        from torch import nn

        return Layers(self._made(name, nn.Module))

    def conv(
        self,
        name: str,
        image: Tensor,
        features: int,
        kernel_px: int,
        *,
        bias: bool,
        stride: int = 1,
        dilation: int = 1,
        padding: Padding | None = None,
        depthwise: bool = False,
    ) -> Tensor:
        """Convolves: [N, C, H, W] -> [N, features, H / stride, W / stride].

        Args:
          name: of the layer.
          image: [N, C, H, W].
          features: channels of the result; C of a depthwise convolution.
          kernel_px: the kernel is square.
          bias: whether there is one.
          stride, dilation: of the kernel.
          padding: None = TensorFlow's 'SAME'.
          depthwise: each channel by itself.
        """
        from torch import nn
        from torch.nn import functional

        before, after = same_padding(kernel_px, stride, dilation) if padding is None else padding
        is_even = before == after
        layer = self._made(
            name,
            lambda: nn.Conv2d(
                image.shape[1],
                features,
                kernel_px,
                stride=stride,
                padding=before if is_even else 0,
                dilation=dilation,
                groups=features if depthwise else 1,
                bias=bias,
            ),
        )
        return layer(image if is_even else functional.pad(image, (before, after, before, after)))

    def conv_transpose(
        self, name: str, image: Tensor, features: int, kernel_px: int, *, bias: bool
    ) -> Tensor:
        """Keras's Conv2DTranspose 'same' of stride 2, kernel 2 or 3: [N, C, H, W] -> [N, features, 2 H, 2 W]."""
        from torch import nn

        layer = self._made(
            name, lambda: nn.ConvTranspose2d(image.shape[1], features, kernel_px, stride=2, bias=bias)
        )
        result = layer(image)
        # A kernel of 3 overhangs at the end by one.
        return result if kernel_px == 2 else result[:, :, :-1, :-1]

    def batch_norm(
        self,
        name: str,
        image: Tensor,
        moving: MovingStatistics,
        epsilon: float = KERAS_BATCH_NORM_EPSILON,
    ) -> Tensor:
        """Normalises by statistics of the batch in training, else by the moving ones; [N, C, H, W] -> the same."""
        from torch import nn

        def make() -> Any:
            norm = nn.BatchNorm2d(image.shape[1], eps=epsilon, momentum=1.0 - moving.momentum)
            # The count of batches, which a fixed momentum does not need.
            norm.num_batches_tracked = None
            return norm

        return self._made(name, make)(image)

    def layer_norm(self, name: str, image: Tensor, epsilon: float) -> Tensor:
        """Normalises each pixel over its channels: [N, C, H, W] -> the same."""
        from torch import nn

        layer = self._made(name, lambda: nn.LayerNorm(image.shape[1], eps=epsilon))
        return layer(image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def group_norm(self, name: str, image: Tensor) -> Tensor:
        """Normalises each image over groups of channels: [N, C, H, W] -> the same."""
        from torch import nn

        channels = image.shape[1]
        layer = self._made(
            name, lambda: nn.GroupNorm(group_count(channels), channels, eps=GROUP_NORM_EPSILON)
        )
        return layer(image)

    def layer_scale(self, name: str, image: Tensor) -> Tensor:
        """Multiplies each channel by a factor: [N, C, H, W] -> the same."""
        import torch

        def make() -> Any:
            layer = torch.nn.Module()
            layer.register_parameter("gamma", torch.nn.Parameter(torch.ones(image.shape[1])))
            return layer

        return image * self._made(name, make).gamma.reshape(1, -1, 1, 1)

    def normalise_raw(self, name: str, raw: Tensor, defaults: Preprocessing) -> Tensor:
        """Preprocesses raw RGB by constants that come with the weights (Keras Normalization)."""
        import torch

        def make() -> Any:
            layer = torch.nn.Module()
            layer.register_buffer("mean", torch.tensor(defaults.mean))
            layer.register_buffer("variance", torch.tensor(defaults.standard_deviation).square())
            layer.register_buffer("count", torch.zeros(()))
            return layer

        layer = self._made(name, make)
        factor = layer.variance.rsqrt().reshape(1, 3, 1, 1)
        # One pass over the image.
        return torch.addcmul(-layer.mean.reshape(1, 3, 1, 1) * factor, raw, factor / defaults.divisor)

    def preprocess(self, raw: Tensor, preprocessing: Preprocessing) -> Tensor:
        """Preprocesses raw RGB by published constants: `models.preprocessing.preprocess`; [N, 3, H, W] -> the same."""
        import torch

        def make() -> Any:
            layer = torch.nn.Module()
            for name in ("mean", "standard_deviation"):
                values = torch.tensor(getattr(preprocessing, name), dtype=torch.float64)
                layer.register_buffer(name, values.reshape(1, 3, 1, 1), persistent=False)
            return layer

        layer = self._made("preprocessing", make)
        image = raw.flip(1) if preprocessing.channel_order == "BGR" else raw
        if preprocessing.divisor == 1.0 and set(preprocessing.standard_deviation) == {1.0}:
            return image - layer.mean.to(raw.dtype)
        factor = 1.0 / layer.standard_deviation
        return torch.addcmul(
            (-layer.mean * factor).to(raw.dtype), image, (factor / preprocessing.divisor).to(raw.dtype)
        )

    def dropout(self, image: Tensor, rate: float) -> Tensor:
        """Drops single values in training."""
        from torch.nn import functional

        return functional.dropout(image, rate, self.module.training)

    def add_branch(self, branch: Tensor, entry: Tensor, rate: float) -> Tensor:
        """Adds a residual branch to its entry; in training it is dropped for a whole image at this rate."""
        import torch

        if not self.module.training or rate == 0.0:
            return branch.add_(entry)
        keep = torch.empty(branch.shape[0], 1, 1, 1, dtype=branch.dtype, device=branch.device)
        keep.bernoulli_(1.0 - rate).div_(1.0 - rate)
        return torch.addcmul(entry, branch, keep)

    def silu(self, image: Tensor) -> Tensor:
        """In place where no gradient needs what was there: PyTorch would keep a copy of it."""
        from torch.nn import functional

        return functional.silu(image, inplace=not self.module.training)

    def _made(self, name: str, make: Callable[[], Any]) -> Any:
        if not hasattr(self.module, name):
            self.module.add_module(name, make().train(self.module.training))
        return getattr(self.module, name)


def conv_norm_relu(
    layers: Layers,
    name: str,
    image: Tensor,
    features: int,
    kernel_px: int,
    *,
    bias: bool,
    moving: MovingStatistics,
    dilation: int = 1,
) -> Tensor:
    """Computes the block both of the paper's decoders are made of: `conv`, `batch_norm`, ReLU."""
    block = layers.part(name)
    image = block.conv("conv", image, features, kernel_px, bias=bias, dilation=dilation)
    return relu(block.batch_norm("batch_norm", image, moving))


def relu(image: Tensor) -> Tensor:
    """Computes max(image, 0) in place."""
    return image.relu_()


def concatenate(*images: Tensor) -> Tensor:
    """Joins the channels."""
    import torch

    return torch.cat(images, dim=1)


def global_average_pool(image: Tensor) -> Tensor:
    """Computes the mean over rows and columns: [N, C, H, W] -> [N, C, 1, 1]."""
    from torch.nn import functional

    return functional.adaptive_avg_pool2d(image, 1)


def max_pool_3x3_stride_2(image: Tensor) -> Tensor:
    """Takes 3x3 maxima of an image >= 0: Keras pads with zeros, PyTorch with minus infinity."""
    from torch.nn import functional

    return functional.max_pool2d(image, 3, stride=2, padding=1)


def upsample_bilinear(image: Tensor, factor: int) -> Tensor:
    """Interpolates with half-pixel centres: [N, C, H, W] -> [N, C, factor H, factor W]."""
    from torch.nn import functional

    if factor == 1:
        return image
    return functional.interpolate(image, scale_factor=float(factor), mode="bilinear", align_corners=False)


def upsample_nearest(image: Tensor, factor: int) -> Tensor:
    """Repeats every pixel: [N, C, H, W] -> [N, C, factor H, factor W]."""
    from torch.nn import functional

    return functional.interpolate(image, scale_factor=float(factor), mode="nearest")


def gelu(image: Tensor) -> Tensor:
    """Computes the exact GELU."""
    from torch.nn import functional

    return functional.gelu(image)


def same_padding(kernel_px: int, stride: int, dilation: int) -> Padding:
    """Returns TensorFlow's 'SAME' padding of sizes that the stride divides: what is odd comes after.

    >>> same_padding(3, 1, 2), same_padding(3, 2, 1), same_padding(1, 2, 1)
    ((2, 2), (0, 1), (0, 0))
    """
    total = max(dilation * (kernel_px - 1) + 1 - stride, 0)
    return total // 2, total - total // 2
