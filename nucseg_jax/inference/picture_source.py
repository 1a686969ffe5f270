"""PNG and JPEG by Pillow, decoded whole when the first region is asked for."""

import pathlib
import warnings

import numpy as np
from PIL import Image, ImageOps

from nucseg_jax.inference.pixels import as_rgb
from nucseg_jax.inference.resolution import MICRONS, Resolution, plausible
from nucseg_jax.inference.source import RefusedImage, Source, check_size, whole_source

_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
_AS_THEY_ARE = ("1", "L", "LA", "RGB", "RGBA")
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)


def open_picture(path: pathlib.Path) -> Source:
    """Opens a PNG or JPEG; upright as its EXIF orientation says, and coordinates are those of the upright picture.

    Palettes and CMYK become RGB as Pillow does it; colour profiles are not applied.

    Raises:
      RefusedImage: too large to be decoded whole, or pixels whose range is not known.
      Exception: whatever Pillow raises for a damaged file.
    """
    with _opened(path) as picture:
        height, width = picture.height, picture.width
        check_size(height, width, whole=True)
        if picture.getexif().get(_ORIENTATION) in _ON_ITS_SIDE:
            height, width = width, height
        resolution = _resolution(picture)

    def decode() -> np.ndarray:
        with _opened(path) as picture:
            return _rgb(ImageOps.exif_transpose(picture))

    return whole_source(height, width, resolution, decode)


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


def _rgb(picture: Image.Image) -> np.ndarray:
    if picture.mode in _SIXTEEN_BIT:
        return as_rgb(np.asarray(picture).astype(np.uint16)[..., None])
    if "transparency" in picture.info and picture.mode in ("1", "L", "P", "RGB"):
        picture = picture.convert("RGBA")
    elif picture.mode in ("P", "CMYK"):
        picture = picture.convert("RGB")
    if picture.mode not in _AS_THEY_ARE:
        raise RefusedImage(
            f"pixels are of Pillow's mode {picture.mode}",
            expected="grey, RGB, CMYK, palette or alpha, 8 or 16 bits",
        )
    pixels = np.asarray(picture)
    return as_rgb(pixels if pixels.ndim == 3 else pixels[..., None])


def _resolution(picture: Image.Image) -> Resolution | None:
    """Dots an inch, of PNG's pHYs or JPEG's header, if they can be those of a microscope."""
    x, y = (float(dots) for dots in picture.info.get("dpi", (0.0, 0.0)))
    if not (x > 0 and y > 0):
        return None
    return plausible(MICRONS["inch"] / x, MICRONS["inch"] / y, f"{picture.format} dots per inch")
