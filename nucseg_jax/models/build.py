"""The literal tables of encoders and decoders, and how a model is put together from them.

A new encoder is a file beside `resnet.py` and a line in `ENCODERS`, a new decoder a file and a line in
`DECODERS`; a decoder of other sizes is a variant.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from nucseg_jax.core.errors import UserError
from nucseg_jax.models.deeplabv3plus import (
    DEEPLABV3PLUS_DILATED,
    DEEPLABV3PLUS_EFFICIENTNET,
    DEEPLABV3PLUS_RESNET50,
    DeepLabV3Plus,
)
from nucseg_jax.models.efficientnet import EfficientNet, efficientnet_variant
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.models.pyramid import Extent
from nucseg_jax.models.resnet import RESNET50, RESNET50_V1_5, RESNET101, RESNET152, ResNet
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.models.unet import UNET_EFFICIENTNET, UNET_FIVE_LEVELS, UNET_RESNET50, UNet

# name: (module, variant). Each row agrees with the network it is named after, tap by tap (tests/parity).
ENCODERS: dict[str, tuple[type[nn.Module], Any]] = {
    "resnet50": (ResNet, RESNET50),
    "resnet50_v1_5": (ResNet, RESNET50_V1_5),
    "resnet101": (ResNet, RESNET101),
    "resnet152": (ResNet, RESNET152),
    "efficientnet_b0": (EfficientNet, efficientnet_variant(1.0, 1.0)),
    "efficientnet_b1": (EfficientNet, efficientnet_variant(1.0, 1.1)),
    "efficientnet_b2": (EfficientNet, efficientnet_variant(1.1, 1.2)),
    "efficientnet_b3": (EfficientNet, efficientnet_variant(1.2, 1.4)),
    "efficientnet_b4": (EfficientNet, efficientnet_variant(1.4, 1.8)),
    "efficientnet_b5": (EfficientNet, efficientnet_variant(1.6, 2.2)),
    "efficientnet_b6": (EfficientNet, efficientnet_variant(1.8, 2.6)),
    "efficientnet_b7": (EfficientNet, efficientnet_variant(2.0, 3.1)),
}


@dataclasses.dataclass(frozen=True)
class DecoderRow:
    """A row of the decoder table.

    Attributes:
      module: the decoder.
      variants: by the encoder's module; the paper's decoders differ by encoder.
      extent: how much of the encoder it stands on.
      output_strides: which ones the encoder may have; the first is the usual one.
    """

    module: type[nn.Module]
    variants: Mapping[type[nn.Module], Any]
    extent: Extent
    output_strides: tuple[int, ...]


DECODERS = {
    # The paper's two.
    "unet": DecoderRow(UNet, {ResNet: UNET_RESNET50, EfficientNet: UNET_EFFICIENTNET}, "cut", (16,)),
    "deeplabv3plus": DecoderRow(
        DeepLabV3Plus,
        {ResNet: DEEPLABV3PLUS_RESNET50, EfficientNet: DEEPLABV3PLUS_EFFICIENTNET},
        "cut",
        (16,),
    ),
    # The usual ones, on whole encoders.
    "unet_five_levels": DecoderRow(
        UNet, {ResNet: UNET_FIVE_LEVELS, EfficientNet: UNET_FIVE_LEVELS}, "whole", (32,)
    ),
    "deeplabv3plus_dilated": DecoderRow(
        DeepLabV3Plus,
        {ResNet: DEEPLABV3PLUS_DILATED, EfficientNet: DEEPLABV3PLUS_DILATED},
        "whole",
        (16, 8),
    ),
}

# Background and as many classes as labels of 8 bits have numbers for beside the one of pixels nobody annotated.
LARGEST_NUM_CLASSES = 255


def build_segmenter(
    *,
    encoder: str,
    decoder: str,
    num_classes: int,
    dropout: float,
    output_stride: int = 16,
    drop_connect: float = 0.0,
    width: float = 1.0,
    encoder_depths: tuple[int, ...] = (),
    moving: MovingStatistics = MovingStatistics(),
    dtype: Any = None,
) -> Segmenter:
    """Builds a model by name.

    Args:
      encoder: a key of `ENCODERS`.
      decoder: a key of `DECODERS`.
      num_classes: 1 to 255; see `Segmenter`.
      dropout: Table 1's rate, 0 <= dropout < 1.
      output_stride: of the encoder, one of the decoder's.
      drop_connect: see `EfficientNet`; ResNets have none.
      width: factor on every channel number but the logits', 1 = the paper's model.
      encoder_depths: blocks of each stage that is built whole; () = the published depths.
      moving: how batch norm's moving statistics follow the batches.
      dtype: dtype of computation.

    Raises:
      UserError: a name that is not in the tables, or a number outside its range.
    """
    if decoder not in DECODERS:
        raise UserError(f"model.decoder is {decoder!r}", expected=f"one of {', '.join(DECODERS)}")
    row = DECODERS[decoder]
    if output_stride not in row.output_strides:
        raise UserError(
            f"model.output_stride is {output_stride}",
            expected=f"{' or '.join(map(str, row.output_strides))} with model.decoder={decoder}",
        )
    if not 1 <= num_classes <= LARGEST_NUM_CLASSES:
        raise UserError(
            f"model.num_classes is {num_classes}",
            expected="1 (nucleus or not), or 1 more than the data set has classes (background and each class), at most"
            f" {LARGEST_NUM_CLASSES}",
        )
    for field, rate in (("dropout", dropout), ("drop_connect", drop_connect)):
        if not 0 <= rate < 1:
            raise UserError(f"model.{field} is {rate}", expected="a rate with 0 <= rate < 1")
    if not 0 < moving.momentum < 1:
        raise UserError(
            f"model.batch_norm_momentum is {moving.momentum}", expected="a number between 0 and 1"
        )
    encoder_module = build_encoder(
        encoder,
        extent=row.extent,
        output_stride=output_stride,
        drop_connect=drop_connect,
        width=width,
        encoder_depths=encoder_depths,
        moving=moving,
        dtype=dtype,
    )
    decoder_options = dict(output_stride=output_stride) if row.module is DeepLabV3Plus else {}
    return Segmenter(
        encoder=encoder_module,
        decoder=row.module(
            row.variants[type(encoder_module)],
            dropout=dropout,
            width=width,
            moving=moving,
            dtype=dtype,
            **decoder_options,
        ),
        num_classes=num_classes,
    )


def build_encoder(
    name: str,
    *,
    extent: Extent,
    output_stride: int = 32,
    drop_connect: float = 0.0,
    width: float = 1.0,
    encoder_depths: tuple[int, ...] = (),
    moving: MovingStatistics = MovingStatistics(),
    dtype: Any = None,
) -> nn.Module:
    """Builds an encoder by name; arguments as in `build_segmenter`, `extent` as in `pyramid.Extent`.

    Raises:
      UserError: a name that is not in the table, or a number outside its range.
    """
    if name not in ENCODERS:
        raise UserError(f"model.encoder is {name!r}", expected=f"one of {', '.join(ENCODERS)}")
    if not 0 < width <= 4:
        raise UserError(f"model.width is {width}", expected="a factor above 0 and at most 4")
    module, variant = ENCODERS[name]
    options: dict[str, Any] = dict(
        extent=extent,
        output_stride=output_stride,
        width=width,
        moving=moving,
        dtype=dtype,
    )
    if module is EfficientNet:
        options["drop_connect"] = drop_connect
    encoder = module(variant, **options)
    if not encoder_depths:
        return encoder
    if len(encoder_depths) != len(encoder.depths) or min(encoder_depths) < 1:
        raise UserError(
            f"model.encoder_depths is {encoder_depths}",
            expected=f"{len(encoder.depths)} positive numbers, or () for {encoder.depths}",
        )
    return encoder.clone(variant=variant.with_depths(encoder_depths))
