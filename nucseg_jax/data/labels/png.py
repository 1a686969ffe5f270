"""Labels in PNG files: one number for each pixel, 1 to 16 bits, or positions of a palette."""

import pathlib
import struct

import numpy as np
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.labels.palette import require_ordered_palette
from nucseg_jax.data.labels.raster import require_size

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# After the signature: length and type of the first chunk, width, height, bits and colour type.
_IHDR = struct.Struct(">4s4sIIBB")
_GREY, _PALETTE = 0, 3
_COLOURS = {2: "red, green and blue", 4: "grey and alpha", 6: "red, green, blue and alpha"}
_ORIENTATION, _UPRIGHT = 0x0112, 1


def read_png(path: pathlib.Path, image_height: int, image_width: int) -> np.ndarray:
    """Reads the numbers of a label PNG; those of a palette are its positions, not its colours.

    Returns:
      bool, uint8 or uint16 [H, W].

    Raises:
      UserError: colours, alpha, several frames, another size than the image's, or no PNG.
      Exception: whatever Pillow raises for a damaged file.
    """
    with path.open("rb") as file:
        head = file.read(len(_SIGNATURE) + _IHDR.size)
    if len(head) < len(_SIGNATURE) + _IHDR.size or not head.startswith(_SIGNATURE):
        raise UserError("the file is no PNG", expected="a PNG, as its ending states")
    _, _, width, height, bits, colour_type = _IHDR.unpack_from(head, len(_SIGNATURE))
    if colour_type not in (_GREY, _PALETTE):
        raise UserError(
            f"its pixels are {_COLOURS.get(colour_type, f'of colour type {colour_type}')}",
            expected="one number for each pixel",
            advice="save ids, classes or a mask as a PNG of one channel, 8 or 16 bits",
        )
    require_size(height, width, image_height, image_width)
    with Image.open(path, formats=("PNG",)) as picture:
        if (picture.height, picture.width) != (height, width):
            raise UserError("the PNG states two sizes", advice="save it again")
        if getattr(picture, "n_frames", 1) > 1:
            raise UserError(f"the PNG holds {picture.n_frames} frames", expected="one picture")  # type: ignore[attr-defined]
        if "transparency" in picture.info:
            raise UserError(
                "the PNG has transparent pixels, whose meaning is not known",
                advice="save it without transparency",
            )
        if picture.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
            raise UserError("the PNG is to be turned (EXIF orientation)", advice="save it upright")
        values = np.asarray(picture)
        if colour_type == _PALETTE:
            require_ordered_palette(values, _palette(picture))
    if values.ndim != 2:
        raise UserError(f"its pixels have the shape {values.shape[2:]}", expected="one number for each pixel")
    if colour_type == _GREY and bits in (2, 4):
        # Pillow stretches the levels to 0..255.
        values = values // (255 // ((1 << bits) - 1))
    return values.astype(np.uint16) if bits == 16 else values


def _palette(picture: Image.Image) -> np.ndarray:
    """uint8 [K, 3]: colours by position."""
    return np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
