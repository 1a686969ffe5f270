"""Label rasters: a number for each pixel, sampled at the centres of another grid."""

import dataclasses

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.images.source import check_size


@dataclasses.dataclass(frozen=True, eq=False)
class RasterShapes:
    """Nuclei as pixels; see `nuclei.Shapes`.

    Attributes:
      number: int32 [H, W]: 0, or the number of a nucleus.
      is_void: bool [H, W], None = everything is annotated.
    """

    number: np.ndarray
    is_void: np.ndarray | None = None

    def numbers_at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Returns int32 [h, w]: the number of the pixel that holds each crossing."""
        return _sampled(self.number, y, x)

    def is_void_at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray | None:
        """Returns bool [h, w]: True where nobody annotated."""
        return None if self.is_void is None else _sampled(self.is_void, y, x)


def _sampled(raster: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The pixel that holds each crossing of y and x; 0 outside the raster."""
    height, width = raster.shape
    row, column = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    has_row, has_column = (row >= 0) & (row < height), (column >= 0) & (column < width)
    sampled: np.ndarray = np.zeros((len(y), len(x)), raster.dtype)
    sampled[np.ix_(has_row, has_column)] = raster[np.ix_(row[has_row], column[has_column])]
    return sampled


def require_size(height: int, width: int, image_height: int, image_width: int) -> None:
    """Raises UserError unless labels are as large as their image, before any of them is decoded.

    Args:
      height, width: of the labels, px.
      image_height, image_width: of the image, px.
    """
    if (height, width) == (image_height, image_width):
        check_size(height, width, whole=True)
        return
    advice = "save the labels in the size of the image"
    if (width, height) == (image_height, image_width):
        advice = "exchange rows and columns of the labels: they are transposed"
    raise UserError(
        f"the labels are {height:,} x {width:,} px (height x width)",
        expected=f"{image_height:,} x {image_width:,} px, the size of the image",
        advice=advice,
    )


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """The values as integers or bool.

    Args:
      values: [H, W] of any dtype.

    Raises:
      UserError: fractions, negative or infinite values, or no numbers at all.
    """
    kind = values.dtype.kind
    if kind not in "biuf":
        raise UserError(f"the values are of the type {values.dtype}", expected="whole numbers")
    if kind in "bu" or not values.size:
        return values if kind in "biu" else values.astype(np.int64)
    if kind == "f":
        if not np.isfinite(values).all():
            raise UserError("some values are NaN or infinite", expected="whole numbers, 0 = background")
        if np.abs(values).max() > 2**53:
            raise UserError("some values are above 2^53", expected="numbers of nuclei or classes")
        whole: np.ndarray = values.astype(np.int64)
        if (whole != values).any():
            raise UserError(
                f"some values are fractions, such as {float(values[whole != values][0]):.6g}",
                expected="whole numbers: ids of nuclei, classes, or a mask of two values",
                advice="save ids or a mask; probabilities and resampled labels are neither",
            )
        values = whole
    if (lowest := int(values.min())) < 0:
        raise UserError(
            f"some values are negative, such as {lowest}", expected="0 = background, and 1 upwards"
        )
    return values
