"""What encoders give and decoders take."""

from typing import NamedTuple

import jax


class Pyramid(NamedTuple):
    """An encoder's named taps on one batch; strides are relative to the image.

    Worked example, ResNet-50 on a 256x256 image (Keras's name of the tap in brackets):
      image              [N, 256, 256,    3]  raw RGB as float, 0..255
      stride2            [N, 128, 128,   64]  (conv1_relu)
      stride4_low_level  [N,  64,  64,  256]  (conv2_block2_out), what DeepLabV3+ takes
      stride4            [N,  64,  64,  256]  (conv2_block3_out), what U-Net takes
      stride8            [N,  32,  32,  512]  (conv3_block4_out)
      stride16           [N,  16,  16, 1024]  (conv4_block6_out)
    """

    image: jax.Array
    stride2: jax.Array
    stride4_low_level: jax.Array
    stride4: jax.Array
    stride8: jax.Array
    stride16: jax.Array


OUTPUT_STRIDE = 16
