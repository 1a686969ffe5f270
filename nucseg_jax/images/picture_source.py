"""PNG and JPEG by Pillow, decoded whole when the first region is asked for."""

import dataclasses
import pathlib
import struct
import warnings

import imagecodecs
import numpy as np
from PIL import Image

from nucseg_jax.images.meaning import GREY, RGB, STRAIGHT, Header, meaning_of
from nucseg_jax.images.pixels import RgbReader
from nucseg_jax.images.resolution import MICRONS, Resolution, plausible
from nucseg_jax.images.source import RefusedImage, Source, check_size, whole_source

_ORIENTATION, _UPRIGHT, _ON_ITS_SIDE = 0x0112, 1, (5, 6, 7, 8)
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
# Colours and alpha of Pillow's modes, which are 8-bit and hold what PNG and JPEG define: alpha is straight.
_MODES = {
    **dict.fromkeys(_SIXTEEN_BIT, (GREY, ())),
    "1": (GREY, ()),
    "L": (GREY, ()),
    "LA": (GREY, (STRAIGHT,)),
    "RGB": (RGB, ()),
    "RGBA": (RGB, (STRAIGHT,)),
}
# Modes of 16-bit colour types of PNG.
_DEEP = {2: "RGB", 4: "LA", 6: "RGBA"}
# Signature, length, type, width and height, then bits and colour type.
_IHDR = struct.Struct(">24sBB")
# Rows and columns reversed, after the sides are exchanged for 5 to 8.
_FLIPS = {
    2: (False, True),
    3: (True, True),
    4: (True, False),
    6: (False, True),
    7: (True, True),
    8: (True, False),
}


def open_picture(path: pathlib.Path) -> Source:
    """Opens a PNG or JPEG; upright as its EXIF orientation states, and coordinates are those of the upright picture.

    Palettes and CMYK become RGB as Pillow does it; colour profiles are not applied.

    Raises:
      RefusedImage: too large to be decoded whole, several frames, or pixels whose range is not known.
      Exception: whatever Pillow raises for a damaged file.
    """
    with _opened(path) as picture:
        height, width = picture.height, picture.width
        check_size(height, width, whole=True)
        frames = getattr(picture, "n_frames", 1)
        if picture.format == "PNG" and frames > 1:
            raise RefusedImage(f"the PNG holds {frames} frames", expected="one picture")
        orientation = picture.getexif().get(_ORIENTATION, _UPRIGHT)
        if orientation in _ON_ITS_SIDE:
            height, width = width, height
        resolution = _resolution(picture)
        reader = RgbReader(meaning_of(_header(picture, path)))

    def decode() -> np.ndarray:
        with _opened(path) as picture:
            return reader(_samples(picture, path))

    source = whole_source(height, width, resolution, decode)
    is_turned = orientation in (*_ON_ITS_SIDE, *_FLIPS)
    return dataclasses.replace(source, notes=reader.notes, is_turned=is_turned)


def _opened(path: pathlib.Path) -> Image.Image:
    with warnings.catch_warnings():
        # The limit on sizes is lower than the one that it warns of.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(path, formats=("PNG", "JPEG"))
        except Image.DecompressionBombError:
            raise RefusedImage(
                "the header asks for more than 178 million pixels",
                advice="convert it to a tiled TIFF or Zarr, which are read by strips",
            ) from None


def _header(picture: Image.Image, path: pathlib.Path) -> Header:
    """The meaning of what `_samples` gives; alpha of both formats is straight."""
    is_keyed = "transparency" in picture.info
    depth, colour_type = _png_kind(picture, path)
    mode = _DEEP[colour_type] if _is_deep(picture, depth) else picture.mode
    if mode in ("P", "CMYK"):
        mode = "RGB"
    if mode not in _MODES:
        raise RefusedImage(
            f"pixels are of Pillow's mode {picture.mode}",
            expected="grey, RGB, CMYK, palette or alpha, 8 or 16 bits",
        )
    colours, extra = _MODES[mode]
    if is_keyed and not extra:
        extra = (STRAIGHT,)
    dtype = np.dtype(bool if mode == "1" and not extra else np.uint16 if depth == 16 else np.uint8)
    return Header(dtype, (1 if colours == GREY else 3) + len(extra), colours, extra)


def _png_kind(picture: Image.Image, path: pathlib.Path) -> tuple[int, int]:
    """Bits of a sample and colour type of a PNG, which Pillow does not tell."""
    if picture.format != "PNG":
        return 8, 2
    with path.open("rb") as file:
        _, depth, colour_type = _IHDR.unpack(file.read(_IHDR.size))
    return depth, colour_type


def _is_deep(picture: Image.Image, depth: int) -> bool:
    """Returns True for 16-bit colours, which Pillow cuts to 8."""
    return depth == 16 and picture.mode not in _SIXTEEN_BIT


def _samples(picture: Image.Image, path: pathlib.Path) -> np.ndarray:
    """Pixels [H, W, C], upright."""
    is_keyed, orientation = "transparency" in picture.info, picture.getexif().get(_ORIENTATION, _UPRIGHT)
    depth, _ = _png_kind(picture, path)
    if _is_deep(picture, depth):
        pixels = imagecodecs.png_decode(path.read_bytes())
    elif is_keyed and picture.mode in ("1", "L", *_SIXTEEN_BIT):
        pixels = _with_key(picture, depth)
    elif picture.mode in ("P", "CMYK") or (is_keyed and picture.mode == "RGB"):
        pixels = np.asarray(picture.convert("RGBA" if is_keyed else "RGB"))
    else:
        pixels = np.asarray(picture)
    if picture.mode in _SIXTEEN_BIT:
        pixels = pixels.astype(np.uint16)
    return _upright(pixels if pixels.ndim == 3 else pixels[..., None], orientation)


def _with_key(picture: Image.Image, depth: int) -> np.ndarray:
    """Grey and alpha of a PNG with one transparent level, uint8 or uint16 [H, W, 2]."""
    key = int(picture.info["transparency"])
    grey = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    if depth in (2, 4):
        # Pillow scales the levels, but not the key.
        key = key * 255 // ((1 << depth) - 1)
    highest = np.iinfo(np.uint16 if depth == 16 else np.uint8).max
    return np.stack([grey, np.where(grey == key, 0, highest).astype(grey.dtype)], axis=-1)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels [H, W, C] turned as EXIF's orientation, 1 to 8, asks for."""
    if orientation in _ON_ITS_SIDE:
        pixels = pixels.swapaxes(0, 1)
    rows, columns = _FLIPS.get(orientation, (False, False))
    return pixels[:: -1 if rows else 1, :: -1 if columns else 1]


def _resolution(picture: Image.Image) -> Resolution | None:
    """Dots an inch, of PNG's pHYs or JPEG's header, if they can be those of a microscope."""
    x, y = (float(dots) for dots in picture.info.get("dpi", (0.0, 0.0)))
    if not (x > 0 and y > 0):
        return None
    return plausible(MICRONS["inch"] / x, MICRONS["inch"] / y, f"{picture.format} dots per inch")
