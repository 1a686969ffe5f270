"""The meaning of an image's samples, decided from its header alone: colours, alpha, levels of black and white.

Readers of every format describe what their header states (`Header`); `meaning_of` decides, or refuses what it does not
understand; `pixels.as_rgb` executes the decision.
"""

import dataclasses

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.images.channels import Channel, colour_positions

GREY, GREY_INVERTED, RGB, YCBCR, PALETTE, CHANNELS = (
    "grey",
    "grey, 0 white",
    "RGB",
    "YCbCr",
    "palette",
    "channels",
)
UNSPECIFIED, PREMULTIPLIED, STRAIGHT = "unspecified", "premultiplied alpha", "straight alpha"

_COLOURS = {GREY: 1, GREY_INVERTED: 1, RGB: 3, YCBCR: 3, PALETTE: 1}


@dataclasses.dataclass(frozen=True, eq=False)
class Header:
    """The statements of a header about its samples.

    Attributes:
      dtype: of the decoded samples.
      samples: count of samples per pixel.
      colours: GREY, GREY_INVERTED, RGB, YCBCR, PALETTE; or CHANNELS, where only `channels` tell what they are.
      extra: UNSPECIFIED, PREMULTIPLIED or STRAIGHT for each sample after the colours.
      bits: used bits of a sample; None = all that the dtype has.
      highest: the largest level, if it is stated: of the range, or of the image.
      palette: uint8 [K, 3], for PALETTE.
      channels: descriptions, for CHANNELS; empty = none.
    """

    dtype: np.dtype
    samples: int
    colours: str
    extra: tuple[str, ...] = ()
    bits: int | None = None
    highest: int | None = None
    palette: np.ndarray | None = None
    channels: tuple[Channel, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Meaning:
    """The meaning of each sample of a pixel.

    Attributes:
      dtype, samples: of the pixels that it holds for.
      colours: positions of red, green and blue (or Y, Cb and Cr); one position for grey or a palette.
      alpha: position of alpha, None = there is none.
      is_premultiplied: colours are multiplied by alpha.
      highest: the level that is full intensity; larger levels contradict the header.
      is_inverted: level 0 is white, `highest` is black.
      is_ycbcr: colours are Y, Cb, Cr of JFIF (BT.601, full range).
      palette: uint8 [K, 3], colours by level.
      notes: assumptions that a user should know.
    """

    dtype: np.dtype
    samples: int
    colours: tuple[int, ...]
    alpha: int | None = None
    is_premultiplied: bool = False
    highest: int = 255
    is_inverted: bool = False
    is_ycbcr: bool = False
    palette: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def meaning_of(header: Header) -> Meaning:
    """Decides what the samples mean.

    Raises:
      UserError: the header states what is not understood, contradicts itself, or leaves colours or range open.

    >>> meaning_of(Header(np.dtype("u2"), 3, RGB, bits=12)).highest
    4095
    >>> meaning_of(Header(np.dtype("u1"), 4, RGB, extra=(STRAIGHT,))).alpha
    3
    """
    if header.dtype.kind not in "bu" or header.dtype.itemsize > 2:
        raise UserError(
            f"pixels are {header.dtype}", expected="8-bit or 16-bit whole numbers", advice="convert to 8 bits"
        )
    colours, notes = _colours(header)
    alpha, alpha_notes = _alpha(header, len(colours))
    is_inverted = header.colours == GREY_INVERTED
    is_premultiplied = alpha is not None and header.extra[alpha - len(colours)] == PREMULTIPLIED
    if is_inverted and is_premultiplied:
        raise UserError(
            "grey levels with 0 for white are multiplied by alpha", advice="save the image without alpha"
        )
    return Meaning(
        header.dtype,
        header.samples,
        colours,
        alpha,
        is_premultiplied,
        # Levels of a palette are positions.
        len(header.palette) - 1 if header.palette is not None else _highest(header),
        is_inverted,
        header.colours == YCBCR,
        header.palette,
        (*notes, *alpha_notes),
    )


def meaning_of_array(dtype: np.dtype, samples: int) -> Meaning:
    """The meaning of an array that is handed over: grey, grey and straight alpha, RGB, or RGB and straight alpha.

    Raises:
      UserError: another dtype or count of samples.
    """
    if samples not in (1, 2, 3, 4):
        raise UserError(
            f"pixels have {counted(samples, 'channel')}", expected="grey or RGB, with or without alpha"
        )
    extra = () if samples % 2 else (STRAIGHT,)
    return meaning_of(Header(dtype, samples, GREY if samples < 3 else RGB, extra))


def _colours(header: Header) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Positions of the colours, and what was assumed."""
    if header.colours == CHANNELS:
        return colour_positions(header.samples, header.channels)
    if (header.palette is not None) != (header.colours == PALETTE):
        raise UserError("a palette without colours, or colours without their palette")
    count = _COLOURS[header.colours]
    if header.samples < count:
        raise UserError(
            f"{header.colours} of {counted(header.samples, 'sample')}", expected=f"{count} at least"
        )
    return tuple(range(count)), ()


def _alpha(header: Header, colours: int) -> tuple[int | None, tuple[str, ...]]:
    """Position of alpha, and what is passed over."""
    count = header.samples if header.colours == CHANNELS else colours
    kinds = header.extra
    if header.samples - count != len(kinds):
        raise UserError(
            f"{counted(header.samples, 'sample')} per pixel, of which {count} are {header.colours}"
            f" and {len(kinds)} described"
        )
    alphas = [index for index, kind in enumerate(kinds) if kind in (STRAIGHT, PREMULTIPLIED)]
    if len(alphas) > 1 or (alphas and header.colours == PALETTE):
        raise UserError(
            f"the samples beside {header.colours} are {', '.join(kinds)}", expected="one alpha at most"
        )
    unspecified = len(kinds) - len(alphas)
    if unspecified and header.colours != RGB:
        # Grey and more that is not described: channels of fluorescence lie in files like this.
        raise UserError(
            f"{header.colours} and {counted(unspecified, 'sample')} without a description",
            expected="grey or RGB, with or without alpha",
            advice="save it as RGB",
        )
    notes = (
        (f"{counted(unspecified, 'sample')} beside RGB: not described and not used",) if unspecified else ()
    )
    return (count + alphas[0] if alphas else None), notes


def _highest(header: Header) -> int:
    """The level that is full intensity."""
    if header.dtype.kind == "b":
        return 1
    container = 8 * header.dtype.itemsize
    bits = container if header.bits is None else header.bits
    if not 1 <= bits <= container:
        raise UserError(
            f"the header states {bits} bits in samples of {container}", expected=f"1 to {container}"
        )
    if not header.highest:
        return (1 << bits) - 1
    # 4,095 in 16 bits means 12 bits; 40,000 is a statistic of the image, as is 3,870, which leaves white open.
    needed = header.highest.bit_length()
    is_range = header.highest == (1 << needed) - 1 and needed >= 8
    if needed > bits or (needed < bits and not is_range):
        raise UserError(
            f"the header states a largest level of {header.highest:,} in {bits} bits: white is not known",
            advice="save the image with the full range of 8 or 16 bits",
        )
    return (1 << needed) - 1
