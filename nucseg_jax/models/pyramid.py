"""Features of an encoder by stride, which decoders take."""

from typing import Literal, NamedTuple

import jax

# Where an encoder ends: 'cut' where the paper cuts it, at stride 16; 'whole' before the classifier's pooling.
Extent = Literal["cut", "whole"]
EXTENTS: tuple[Extent, ...] = ("cut", "whole")


class Pyramid(NamedTuple):
    """An encoder's named taps on one batch; strides are relative to the image.

    Worked example, 256x256 image (the framework's name of the tap in brackets; B4 = EfficientNet-B4):

      field              size    ResNet-50                B4, each `_expand_activation`  ConvNeXt-Tiny
      image              256     3 raw RGB, float 0..255     3 the same                    3 the same
      stride2            128    64 (conv1_relu)            144 (block2a)                None: it starts at stride 4
      stride4_low_level   64   256 (conv2_block2_out)      192 (block3a)                  96 (stages_0)
      stride4             64   256 (conv2_block3_out)      192 (block3a)                  96 (stages_0)
      stride8             32   512 (conv3_block4_out)      336 (block4a)                 192 (stages_1)
      stride16            16  1024 (conv4_block6_out)      960 (block6a)                 384 (stages_2)
      output, cut         16  1024 (conv4_block6_out)      960 (block6a)                 384 (stages_2)
      output, whole     8..32 2048 (conv5_block3_out)     1792 (top_activation)          768 (stages_3)

    DeepLabV3+ takes `stride4_low_level`, U-Net `stride4`. `stride16` is None at output stride 8, where no feature has
    that stride. `Encoder.taps` names the fields that are not None, before anything is computed.
    """

    image: jax.Array
    stride2: jax.Array | None
    stride4_low_level: jax.Array
    stride4: jax.Array
    stride8: jax.Array
    stride16: jax.Array | None
    output: jax.Array


def taps_at(output_stride: int, *, first_stride: int = 2) -> tuple[str, ...]:
    """Names the fields of `Pyramid` that an encoder has.

    Args:
      output_stride: of the encoder's output.
      first_stride: the smallest stride of its features.

    >>> taps_at(8, first_stride=4)
    ('image', 'stride4_low_level', 'stride4', 'stride8', 'output')
    """
    strides = {"stride2": 2, "stride4_low_level": 4, "stride4": 4, "stride8": 8, "stride16": 16}
    return tuple(
        name
        for name in Pyramid._fields
        if name not in strides or first_stride <= strides[name] <= output_stride
    )
