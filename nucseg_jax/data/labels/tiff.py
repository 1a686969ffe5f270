"""Labels in TIFF files: one number for each pixel, integers or floats, or positions of a palette."""

import pathlib

import numpy as np
import tifffile

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.labels.palette import require_ordered_palette
from nucseg_jax.data.labels.raster import require_size
from nucseg_jax.images.main_picture import main_picture
from nucseg_jax.images.tiff_meaning import check_complete
from nucseg_jax.images.tiff_pictures import tiff_pictures
from nucseg_jax.images.tiff_segment import check_segment_bytes

_WHITE_IS_0, _GREY, _PALETTE = 0, 1, 3
_UPRIGHT = 1
# JPEG, JPEG 2000, WebP and JPEG XL, which may alter numbers.
_LOSSY = {6, 7, 33003, 33005, 33007, 34712, 34892, 50001, 50002, 52546}


def read_tiff(path: pathlib.Path, image_height: int, image_width: int) -> np.ndarray:
    """Reads the numbers of a label TIFF; of a pyramid, those of its full resolution.

    Returns:
      [H, W], of the stored dtype.

    Raises:
      UserError: colours, alpha, a stack, lossy compression, a truncated file, or another size than the image's.
      Exception: whatever tifffile raises for a damaged file.
    """
    # Files that OME-XML names are never followed.
    with tifffile.TiffFile(path, _multifile=False) as file:
        pictures = tiff_pictures(file, path.name)
        main = pictures[main_picture([each.shown for each in pictures]).main]
        if len(main.pages) != 1:
            raise UserError(
                "the TIFF is a stack, or has several channels", expected="one number for each pixel"
            )
        page = main.pages[0]
        _require_numbers(page)
        require_size(page.imagelength, page.imagewidth, image_height, image_width)
        check_complete(page, path.stat().st_size)
        if not all(page.databytecounts):
            raise UserError(
                "some tiles or strips hold no pixels", advice="save it again, with all its pixels"
            )
        check_segment_bytes(page)
        values: np.ndarray = page.asarray()
        if int(page.photometric) == _PALETTE:
            require_ordered_palette(values, np.asarray(page.colormap).T)
    if values.shape != (image_height, image_width):
        raise UserError(f"its pixels have the shape {values.shape}", expected="one number for each pixel")
    return values


def _require_numbers(page: tifffile.TiffPage) -> None:
    """Raises UserError for a directory of anything but upright numbers that were stored without loss."""
    advice = "save ids, classes or a mask as a TIFF of one channel"
    if page.samplesperpixel != 1 or page.axes != "YX":
        raise UserError(
            f"its pixels are {counted(int(page.samplesperpixel), 'sample')}, axes {page.axes}",
            expected="one number for each pixel",
            advice=advice,
        )
    photometric = int(page.photometric)
    if photometric == _WHITE_IS_0:
        raise UserError(
            "the TIFF states that 0 is white: whether 0 is background is not known",
            advice="save it with 0 as black (photometric interpretation MinIsBlack)",
        )
    if photometric not in (_GREY, _PALETTE):
        raise UserError(
            f"its photometric interpretation is {photometric}", expected="grey levels", advice=advice
        )
    if photometric == _PALETTE and (page.dtype is None or page.dtype.kind != "u" or page.colormap is None):
        raise UserError("the TIFF's palette cannot be understood", advice=advice)
    if page.dtype is None:
        raise UserError("the type of its samples is not known", expected="integers or floats", advice=advice)
    if int(page.compression) in _LOSSY:
        raise UserError(
            "the TIFF is compressed by a method that may alter numbers",
            expected="LZW, deflate or none",
            advice="write the labels again from their source",
        )
    orientation = page.tags.valueof("Orientation", _UPRIGHT)
    if orientation != _UPRIGHT:
        raise UserError(f"the TIFF is to be turned (orientation {orientation})", advice="save it upright")
