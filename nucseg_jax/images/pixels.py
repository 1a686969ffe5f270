"""Samples to 8-bit RGB, by their meaning.

    levels       0 to the highest becomes 0 to 255, rounded
    bool         black and white
    grey         the same in red, green and blue
    alpha        composed over white, the colour of an empty slide

Anything whose meaning is not known is refused by `meaning.meaning_of`.
"""

import functools

import numpy as np
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.images.meaning import Meaning, meaning_of_array

_WHITE = 255
# Pixels that use fewer of 256 levels, and are not bright as glass is, were hardly scaled by their true range.
_FEW_LEVELS = 16
_DARKEST_GLASS = 224
# White of 9 to 15 bits in 16 lies at half the range or below it, where no stained section ends.
_HALF = 128


def as_rgb(pixels: np.ndarray, meaning: Meaning | None = None) -> np.ndarray:
    """8-bit RGB.

    Args:
      pixels: uint8, uint16 or bool [H, W, C].
      meaning: of the samples; None = `meaning.meaning_of_array`: grey or RGB by C, 2 and 4 with straight alpha.

    Returns:
      uint8 [H, W, 3]; may share memory with `pixels`.

    Raises:
      UserError: a dtype or count of samples that the meaning does not hold for, or levels above its highest.

    >>> as_rgb(np.array([[[65535], [257]]], np.uint16)).tolist()
    [[[255, 255, 255], [1, 1, 1]]]
    """
    samples = pixels.shape[-1]
    if meaning is None:
        meaning = meaning_of_array(pixels.dtype, samples)
    if samples != meaning.samples or pixels.dtype.newbyteorder("=") != meaning.dtype.newbyteorder("="):
        raise UserError(
            f"the pixels are {samples} x {pixels.dtype}",
            expected=f"{meaning.samples} x {meaning.dtype}, as the header states",
        )
    is_whole = meaning.colours == tuple(range(samples))
    colour = pixels if is_whole else pixels[..., list(meaning.colours)]
    _check_levels(colour, meaning)
    if meaning.palette is not None:
        # A bool would select, and not look up.
        return meaning.palette[colour[..., 0].astype(np.intp)]
    colour = _scaled(colour, meaning.highest, is_inverted=meaning.is_inverted)
    if meaning.is_ycbcr:
        planes = [Image.fromarray(np.ascontiguousarray(colour[..., index])) for index in range(3)]
        colour = np.asarray(Image.merge("YCbCr", planes).convert("RGB"))
    if meaning.alpha is not None:
        alpha = pixels[..., meaning.alpha, None]
        _check_levels(alpha, meaning)
        alpha = _scaled(alpha, meaning.highest, is_inverted=False)
        colour = _over_white(colour, alpha, is_premultiplied=meaning.is_premultiplied)
    return np.broadcast_to(colour, (*colour.shape[:-1], 3))


class RgbReader:
    """`as_rgb` with one meaning, which remembers the range of what it gave."""

    def __init__(self, meaning: Meaning):
        self._meaning = meaning
        self._darkest, self._brightest = _WHITE, 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] of [H, W, C]."""
        rgb = as_rgb(pixels, self._meaning)
        if rgb.size:
            self._darkest = min(self._darkest, int(rgb.min()))
            self._brightest = max(self._brightest, int(rgb.max()))
        return rgb

    def notes(self) -> tuple[str, ...]:
        """The assumptions of the meaning, and a word on levels that fill a tiny share of the range."""
        span = self._brightest - self._darkest
        is_narrow = span <= _FEW_LEVELS and self._brightest < _DARKEST_GLASS
        is_dim = self._brightest <= _HALF and self._meaning.dtype.itemsize == 2
        if span < 0 or not (is_narrow or is_dim) or self._meaning.palette is not None:
            return self._meaning.notes
        highest = self._meaning.highest
        levels = f"{self._darkest * highest // 255:,} to {self._brightest * highest // 255:,}"
        return (
            *self._meaning.notes,
            f"its levels lie within {levels} of 0 to {highest:,}: if fewer bits are used than the file states, nuclei"
            " are missed; save it with the full range",
        )


def _check_levels(values: np.ndarray, meaning: Meaning) -> None:
    if values.dtype.kind == "b" or meaning.highest >= np.iinfo(values.dtype).max or not values.size:
        return
    largest = int(values.max())
    if largest > meaning.highest:
        raise UserError(
            f"pixels have levels up to {largest:,}",
            expected=f"{meaning.highest:,} at most, as the header states",
        )


def _scaled(values: np.ndarray, highest: int, *, is_inverted: bool) -> np.ndarray:
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    if highest == _WHITE and values.dtype == np.uint8:
        return np.invert(values) if is_inverted else values
    scaled: np.ndarray = _table(highest, is_inverted)[values]
    return scaled


@functools.lru_cache(maxsize=8)
def _table(highest: int, is_inverted: bool) -> np.ndarray:
    """uint8 [highest + 1]: levels on 0..255."""
    levels: np.ndarray = np.arange(highest + 1, dtype=np.float64)
    scaled = np.rint(levels * (_WHITE / highest)).astype(np.uint8)
    return scaled[::-1].copy() if is_inverted else scaled


def _over_white(color: np.ndarray, alpha: np.ndarray, *, is_premultiplied: bool) -> np.ndarray:
    if (alpha == 255).all():
        return color
    opaque: np.ndarray = alpha.astype(np.uint16)
    if is_premultiplied:
        blended: np.ndarray = np.minimum(color + (_WHITE - opaque), _WHITE)
    else:
        blended = (color * opaque + _WHITE * (255 - opaque) + 127) // 255
    return blended.astype(np.uint8)
