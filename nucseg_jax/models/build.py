"""The literal tables of encoders and decoders, and how a model is put together from them.

A new encoder is a file beside `convnext.py` and a row of `ENCODERS`, a new decoder a file and a row of `DECODERS`. Both
implement the protocols of `interfaces.py`; nothing here asks for a module's type.
"""

import dataclasses
from collections.abc import Callable, Mapping

from jax.typing import DTypeLike

from nucseg_jax.core.errors import UserError
from nucseg_jax.heads.table import HEADS
from nucseg_jax.models.convnext import CONVNEXT_BASE, CONVNEXT_SMALL, CONVNEXT_TINY, ConvNeXt
from nucseg_jax.models.deeplabv3plus import (
    DEEPLABV3PLUS_DILATED,
    DEEPLABV3PLUS_EFFICIENTNET,
    DEEPLABV3PLUS_RESNET50,
    DeepLabV3Plus,
)
from nucseg_jax.models.efficientnet import EfficientNet, efficientnet_variant
from nucseg_jax.models.fpn import FPN, FPN_256
from nucseg_jax.models.interfaces import Decoder, Encoder, EncoderVariant, Framework
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.models.pyramid import Extent
from nucseg_jax.models.resnet import RESNET50, RESNET50_V1_5, RESNET101, RESNET152, ResNet
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.models.unet import UNET_EFFICIENTNET, UNET_FIVE_LEVELS, UNET_RESNET50, UNet


@dataclasses.dataclass(frozen=True)
class EncoderRow:
    """A row of the encoder table.

    Attributes:
      title: the network's usual spelling, for people.
      family: name of the networks that differ from this one in sizes; decoders may have a variant for a family.
      module: builds the encoder.
      variant: its sizes.
      framework: whose layers it has, and so whose weights fit it.
      has_stochastic_depth: whether the module takes `drop_connect`.
    """

    title: str
    family: str
    module: Callable[..., Encoder]
    variant: EncoderVariant
    framework: Framework
    has_stochastic_depth: bool


def _resnet(title: str, variant: EncoderVariant, framework: Framework = "keras") -> EncoderRow:
    return EncoderRow(title, "resnet", ResNet, variant, framework, has_stochastic_depth=False)


def _efficientnet(title: str, width_coefficient: float, depth_coefficient: float) -> EncoderRow:
    variant = efficientnet_variant(width_coefficient, depth_coefficient)
    return EncoderRow(title, "efficientnet", EfficientNet, variant, "keras", has_stochastic_depth=True)


def _convnext(title: str, variant: EncoderVariant) -> EncoderRow:
    return EncoderRow(title, "convnext", ConvNeXt, variant, "torch", has_stochastic_depth=True)


# Each row agrees with the network it is named after, tap by tap (tests/parity).
ENCODERS: dict[str, EncoderRow] = {
    "resnet50": _resnet("ResNet-50", RESNET50),
    "resnet50_v1_5": _resnet("ResNet-50 v1.5", RESNET50_V1_5, "torch"),
    "resnet101": _resnet("ResNet-101", RESNET101),
    "resnet152": _resnet("ResNet-152", RESNET152),
    "efficientnet_b0": _efficientnet("EfficientNet-B0", 1.0, 1.0),
    "efficientnet_b1": _efficientnet("EfficientNet-B1", 1.0, 1.1),
    "efficientnet_b2": _efficientnet("EfficientNet-B2", 1.1, 1.2),
    "efficientnet_b3": _efficientnet("EfficientNet-B3", 1.2, 1.4),
    "efficientnet_b4": _efficientnet("EfficientNet-B4", 1.4, 1.8),
    "efficientnet_b5": _efficientnet("EfficientNet-B5", 1.6, 2.2),
    "efficientnet_b6": _efficientnet("EfficientNet-B6", 1.8, 2.6),
    "efficientnet_b7": _efficientnet("EfficientNet-B7", 2.0, 3.1),
    "convnext_tiny": _convnext("ConvNeXt-Tiny", CONVNEXT_TINY),
    "convnext_small": _convnext("ConvNeXt-Small", CONVNEXT_SMALL),
    "convnext_base": _convnext("ConvNeXt-Base", CONVNEXT_BASE),
}


@dataclasses.dataclass(frozen=True)
class DecoderRow:
    """A row of the decoder table; it goes with every encoder that has the taps it needs.

    Attributes:
      title: the decoder's usual spelling, for people.
      module: builds the decoder.
      variant: its sizes, but on encoders of the families in `variants`.
      extent: how much of the encoder it stands on.
      output_strides: which ones the encoder may have; the first is the usual one.
      variants: its sizes by the encoder's family; the paper's decoders differ by encoder.
      needs_output_stride: whether the module takes `output_stride`.
    """

    title: str
    module: Callable[..., Decoder]
    variant: object
    extent: Extent
    output_strides: tuple[int, ...]
    variants: Mapping[str, object] = dataclasses.field(default_factory=dict)
    needs_output_stride: bool = False


DECODERS: dict[str, DecoderRow] = {
    # The paper's two.
    "unet": DecoderRow(
        "U-Net", UNet, UNET_RESNET50, "cut", (16,), variants={"efficientnet": UNET_EFFICIENTNET}
    ),
    "deeplabv3plus": DecoderRow(
        "DeepLabV3+",
        DeepLabV3Plus,
        DEEPLABV3PLUS_RESNET50,
        "cut",
        (16,),
        variants={"efficientnet": DEEPLABV3PLUS_EFFICIENTNET},
        needs_output_stride=True,
    ),
    # The usual ones, on whole encoders.
    "unet_five_levels": DecoderRow("U-Net (five levels)", UNet, UNET_FIVE_LEVELS, "whole", (32,)),
    "deeplabv3plus_dilated": DecoderRow(
        "DeepLabV3+ (dilated)",
        DeepLabV3Plus,
        DEEPLABV3PLUS_DILATED,
        "whole",
        (16, 8),
        needs_output_stride=True,
    ),
    "fpn": DecoderRow("FPN", FPN, FPN_256, "whole", (32,)),
}

# Background and as many classes as labels of 8 bits have numbers for beside the one of pixels nobody annotated.
LARGEST_NUM_CLASSES = 255


def build_segmenter(
    *,
    encoder: str,
    decoder: str,
    num_classes: int,
    dropout: float,
    head: str = "none",
    output_stride: int = 16,
    drop_connect: float = 0.0,
    width: float = 1.0,
    encoder_depths: tuple[int, ...] = (),
    moving: MovingStatistics = MovingStatistics(),
    dtype: DTypeLike | None = None,
) -> Segmenter:
    """Builds a model by name.

    Args:
      encoder: a key of `ENCODERS`.
      decoder: a key of `DECODERS`.
      num_classes: 1 to 255; see `Segmenter`.
      dropout: Table 1's rate, 0 <= dropout < 1.
      head: a key of `heads.table.HEADS`.
      output_stride: of the encoder, one of the decoder's.
      drop_connect: see `EfficientNet` and `ConvNeXt`; ResNets have none.
      width: factor on every channel number but the logits', 1 = the paper's model.
      encoder_depths: blocks of each stage that is built whole; () = the published depths.
      moving: how batch norm's moving statistics follow the batches.
      dtype: dtype of computation.

    Raises:
      UserError: a name that is not in the tables, a number outside its range, or a decoder that needs a tap that the
        encoder does not have.
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
    if head not in HEADS:
        raise UserError(f"model.head is {head!r}", expected=f"one of {', '.join(HEADS)}")
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
    decoder_module = build_decoder(
        decoder,
        encoder,
        output_stride=output_stride,
        dropout=dropout,
        width=width,
        moving=moving,
        dtype=dtype,
    )
    missing = missing_taps(encoder_module, decoder_module)
    if missing:
        raise UserError(
            f"model.decoder is {decoder!r}, which needs the {' and '.join(missing)} features that model.encoder="
            f"{encoder} does not have at output stride {output_stride}",
            expected=f"one of {', '.join(decoders_for(encoder)) or 'no decoder yet'} with this encoder",
            advice="choose another decoder or another encoder",
        )
    return Segmenter(
        encoder=encoder_module,
        decoder=decoder_module,
        num_classes=num_classes,
        map_channels=len(HEADS[head].maps),
    )


def build_decoder(name: str, encoder: str, *, output_stride: int, **options: object) -> Decoder:
    """Builds a decoder by name with its sizes for an encoder.

    Args:
      name: a key of `DECODERS`.
      encoder: a key of `ENCODERS`.
      output_stride: of the encoder.
      **options: `dropout`, `width`, `moving`, `dtype`, as in `interfaces.Decoder`.
    """
    row = DECODERS[name]
    if row.needs_output_stride:
        options["output_stride"] = output_stride
    return row.module(row.variants.get(ENCODERS[encoder].family, row.variant), **options)


def missing_taps(encoder: Encoder, decoder: Decoder) -> tuple[str, ...]:
    """Names the taps that a decoder needs and an encoder does not have; computes nothing."""
    return tuple(tap for tap in decoder.required_taps if tap not in encoder.taps)


def decoders_for(encoder: str) -> tuple[str, ...]:
    """Names the decoders that an encoder has the taps for, each at its usual output stride."""
    fitting = []
    for name, row in DECODERS.items():
        stride = row.output_strides[0]
        module = build_encoder(encoder, extent=row.extent, output_stride=stride)
        if not missing_taps(module, build_decoder(name, encoder, output_stride=stride, dropout=0.0)):
            fitting.append(name)
    return tuple(fitting)


def build_encoder(
    name: str,
    *,
    extent: Extent,
    output_stride: int = 32,
    drop_connect: float = 0.0,
    width: float = 1.0,
    encoder_depths: tuple[int, ...] = (),
    moving: MovingStatistics = MovingStatistics(),
    dtype: DTypeLike | None = None,
) -> Encoder:
    """Builds an encoder by name; arguments as in `build_segmenter`, `extent` as in `pyramid.Extent`.

    Raises:
      UserError: a name that is not in the table, or a number outside its range.
    """
    if name not in ENCODERS:
        raise UserError(f"model.encoder is {name!r}", expected=f"one of {', '.join(ENCODERS)}")
    if not 0 < width <= 4:
        raise UserError(f"model.width is {width}", expected="a factor above 0 and at most 4")
    row = ENCODERS[name]
    options: dict[str, object] = dict(
        extent=extent,
        output_stride=output_stride,
        width=width,
        moving=moving,
        dtype=dtype,
    )
    if row.has_stochastic_depth:
        options["drop_connect"] = drop_connect
    encoder = row.module(row.variant, **options)
    if not encoder_depths:
        return encoder
    if len(encoder_depths) != len(encoder.depths) or min(encoder_depths) < 1:
        raise UserError(
            f"model.encoder_depths is {encoder_depths}",
            expected=f"{len(encoder.depths)} positive numbers, or () for {encoder.depths}",
        )
    return encoder.clone(variant=row.variant.with_depths(encoder_depths))
