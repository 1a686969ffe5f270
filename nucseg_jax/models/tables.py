"""The literal tables of encoders and decoders, and how a model is put together from them.

A new encoder is a file beside `resnet.py` and a line in `ENCODERS`; a new decoder likewise; a pairing the
paper does not have is a line in `DECODERS`.
"""

import dataclasses
from typing import Any

from nucseg_jax.core.errors import UserError
from nucseg_jax.models.deeplabv3plus import DEEPLABV3PLUS_RESNET50, DeepLabV3Plus
from nucseg_jax.models.resnet import RESNET50, ResNet
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.models.unet import UNET_RESNET50, UNet

ENCODERS = {
    "resnet50": (ResNet, RESNET50),
}

# Decoders differ by encoder in the paper; see each variant's comment for the evidence.
DECODERS = {
    ("unet", "resnet50"): (UNet, UNET_RESNET50),
    ("deeplabv3plus", "resnet50"): (DeepLabV3Plus, DEEPLABV3PLUS_RESNET50),
}

BINARY_CLASSES = 1
ALL_CLASSES = 6


def build_segmenter(
    *,
    encoder: str,
    decoder: str,
    num_classes: int,
    dropout: float,
    width: float,
    encoder_depths: tuple[int, ...],
    momentum: float,
    dtype: Any,
) -> Segmenter:
    """Builds a model by name.

    Args:
      encoder: a key of `ENCODERS`.
      decoder: first part of a key of `DECODERS`.
      num_classes: 1 or 6; see `Segmenter`.
      dropout: Table 1's rate, 0 <= dropout < 1.
      width: factor on every channel number but the logits', 1 = the paper's model.
      encoder_depths: blocks a stage; () = the published depths.
      momentum: of the batch-norm moving statistics, 0.99 in the paper.
      dtype: dtype of computation.

    Raises:
      UserError: a name that is not in the tables, or a number outside its range.
    """
    if encoder not in ENCODERS:
        raise UserError(f"model.encoder is {encoder!r}", expected=f"one of {sorted(ENCODERS)}")
    if (decoder, encoder) not in DECODERS:
        choices = sorted(name for name, with_encoder in DECODERS if with_encoder == encoder)
        raise UserError(f"model.decoder is {decoder!r}", expected=f"one of {choices} with {encoder}")
    if num_classes not in (BINARY_CLASSES, ALL_CLASSES):
        raise UserError(
            f"model.num_classes is {num_classes}", expected="1 (nucleus) or 6 (background and five classes)"
        )
    if not 0 <= dropout < 1:
        raise UserError(f"model.dropout is {dropout}", expected="a rate with 0 <= rate < 1")
    if not 0 < width <= 4:
        raise UserError(f"model.width is {width}", expected="a factor above 0 and at most 4")
    if not 0 < momentum < 1:
        raise UserError(f"model.batch_norm_momentum is {momentum}", expected="a number between 0 and 1")

    encoder_class, encoder_variant = ENCODERS[encoder]
    if encoder_depths:
        if len(encoder_depths) != len(encoder_variant.depths) or min(encoder_depths) < 1:
            raise UserError(
                f"model.encoder_depths is {encoder_depths}",
                expected=f"{len(encoder_variant.depths)} positive numbers, or () for {encoder_variant.depths}",
            )
        encoder_variant = dataclasses.replace(encoder_variant, depths=tuple(encoder_depths))
    decoder_class, decoder_variant = DECODERS[decoder, encoder]
    common = dict(width=width, momentum=momentum, dtype=dtype)
    return Segmenter(
        encoder=encoder_class(encoder_variant, **common),
        decoder=decoder_class(decoder_variant, dropout=dropout, **common),
        num_classes=num_classes,
    )
