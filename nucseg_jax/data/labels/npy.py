"""Labels in `.npy` files."""

import pathlib

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.labels.raster import require_size


def read_npy(path: pathlib.Path, image_height: int, image_width: int) -> np.ndarray:
    """Reads the numbers of a label array; nothing is unpickled.

    Returns:
      [H, W], of the stored dtype.

    Raises:
      UserError: another shape than the image's, or no array of numbers.
      Exception: whatever NumPy raises for a damaged file.
    """
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            raise UserError(
                "the file is an archive (.npz)",
                advice="save the array of labels with numpy.save(file, array)",
            )
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    if values.ndim != 2:
        raise UserError(
            f"the array has the shape {values.shape}",
            expected=f"({image_height}, {image_width}): one number for each pixel of the image",
        )
    require_size(values.shape[0], values.shape[1], image_height, image_width)
    if values.dtype.kind not in "biuf":
        raise UserError(f"the array is of the type {values.dtype}", expected="whole numbers")
    return np.array(values)
