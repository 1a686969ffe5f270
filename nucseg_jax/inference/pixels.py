"""Pixels of any usual kind to 8-bit RGB, by one rule each.

    uint8        as it is
    uint16       full range: 0..65535 becomes 0..255, rounded
    bool         black and white
    grey         the same in red, green and blue
    alpha        composed over white, the colour of an empty slide

Everything else (floating, signed and 32-bit numbers, other numbers of channels) is refused: their range is not known.
"""

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError

_WHITE = 255


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """8-bit RGB.

    Args:
      pixels: uint8, uint16 or bool [H, W, C]; C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.

    Returns:
      uint8 [H, W, 3]; may share memory with `pixels`.

    Raises:
      UserError: another dtype or number of channels.

    >>> as_rgb(np.array([[[65535], [257]]], np.uint16)).tolist()
    [[[255, 255, 255], [1, 1, 1]]]
    """
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8) * np.uint8(_WHITE)
    elif pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif pixels.dtype != np.uint8:
        raise UserError(
            f"pixels are {pixels.dtype}", expected="8-bit or 16-bit whole numbers", advice="convert to 8 bits"
        )
    channels = pixels.shape[-1]
    if channels in (2, 4):
        pixels = _over_white(pixels[..., :-1], pixels[..., -1:])
    elif channels not in (1, 3):
        raise UserError(
            f"pixels have {counted(channels, 'channel')}", expected="grey or RGB, with or without alpha"
        )
    return np.broadcast_to(pixels, (*pixels.shape[:-1], 3))


def _over_white(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    if (alpha == 255).all():
        return color
    opaque: np.ndarray = alpha.astype(np.uint16)
    return ((color * opaque + _WHITE * (255 - opaque) + 127) // 255).astype(np.uint8)
