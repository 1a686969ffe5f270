"""Sizes of a linen module as plain data: torch.compile cannot look into linen modules."""

from typing import Any, NamedTuple

from nucseg_jax.models.interfaces import Decoder, Encoder
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.models.preprocessing import Preprocessing
from nucseg_jax.models.pyramid import Extent


class EncoderSizes(NamedTuple):
    """Sizes of an encoder; fields as in `models.interfaces.Encoder`.

    Attributes:
      variant: the family's own.
      drop_connect: 0 where the family has none.
    """

    variant: Any
    extent: Extent
    output_stride: int
    width: float
    depths: tuple[int, ...]
    moving: MovingStatistics
    preprocessing: Preprocessing
    drop_connect: float


class DecoderSizes(NamedTuple):
    """Sizes of a decoder; fields as in `models.interfaces.Decoder`.

    Attributes:
      variant: the decoder's own.
      output_stride: of the encoder's output.
    """

    variant: Any
    width: float
    moving: MovingStatistics
    dropout: float
    output_stride: int


def encoder_sizes(encoder: Encoder) -> EncoderSizes:
    """Reads the sizes of an encoder."""
    return EncoderSizes(
        encoder.variant,
        encoder.extent,
        encoder.output_stride,
        encoder.width,
        encoder.depths,
        encoder.moving,
        encoder.preprocessing,
        getattr(encoder, "drop_connect", 0.0),
    )


def decoder_sizes(decoder: Decoder, output_stride: int) -> DecoderSizes:
    """Reads the sizes of a decoder on an encoder of this output stride."""
    return DecoderSizes(decoder.variant, decoder.width, decoder.moving, decoder.dropout, output_stride)
