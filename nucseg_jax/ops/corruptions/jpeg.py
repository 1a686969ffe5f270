"""JPEG, by Pillow on the host."""

import io

import numpy as np
from PIL import Image


def compressed(image: np.ndarray, quality: float) -> np.ndarray:
    """Writes an image as JPEG and reads it again, with Pillow's own settings, as ImageNet-C does.

    Args:
      image: uint8 [H, W, 3], RGB.
      quality: 1..95, a whole number.

    Returns:
      uint8 [H, W, 3].
    """
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(quality))
    with Image.open(file) as read:
        return np.asarray(read.convert("RGB"))
