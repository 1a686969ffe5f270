"""What encoders give and decoders take."""

from typing import Literal, NamedTuple

import jax

# Where an encoder ends: 'cut' where the paper cuts it, at stride 16; 'whole' before the classifier's pooling.
Extent = Literal["cut", "whole"]
EXTENTS: tuple[Extent, ...] = ("cut", "whole")


class Pyramid(NamedTuple):
    """An encoder's named taps on one batch; strides are relative to the image.

    Worked example, 256x256 image (Keras's name of the tap in brackets; B4 = EfficientNet-B4):

      field              size    ResNet-50                       B4, each `_expand_activation`
      image              256     3 raw RGB as float, 0..255      3 the same
      stride2            128    64 (conv1_relu)                144 (block2a)
      stride4_low_level   64   256 (conv2_block2_out)          192 (block3a)   what DeepLabV3+ takes
      stride4             64   256 (conv2_block3_out)          192 (block3a)   what U-Net takes
      stride8             32   512 (conv3_block4_out)          336 (block4a)
      stride16            16  1024 (conv4_block6_out)          960 (block6a)   None at output stride 8
      output              16  1024 (conv4_block6_out)          960 (block6a)   of the cut encoder; or
                        8..32 2048 (conv5_block3_out)         1792 (top_activation)   of the whole one
    """

    image: jax.Array
    stride2: jax.Array
    stride4_low_level: jax.Array
    stride4: jax.Array
    stride8: jax.Array
    stride16: jax.Array | None
    output: jax.Array
