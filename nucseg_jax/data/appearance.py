"""The look of nuclei beside what surrounds them, which tells whether images and masks belong together.

Haematoxylin makes nuclei darker than the rest of a patch, most of all in red: on average over a patch both hold in all
429 patches with nuclei of MoNuSeg, CoNSeP, PanNuke's breast sample and the histology of BBBC038, whatever their stain.
Masks of other rows, turned masks and inverted images give brighter nuclei in about half of the patches or more, blue
and red exchanged give nuclei that are darkest in blue. A single patch proves nothing.
"""

from typing import Literal, NamedTuple

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.data.dataset_info import VOID_LABEL

# Of the patches with nuclei; on real data it is none, and half where labels are those of other images.
_MOST_UNLIKELY = 0.2
_FEW_PATCHES = 2


class Appearance(NamedTuple):
    """The look of one patch's nuclei.

    Attributes:
      is_bright: nuclei are on average not darker than the rest.
      is_blue_darker: nuclei are darker than the rest by more in blue than in red.
    """

    is_bright: bool
    is_blue_darker: bool


def appearance(image: np.ndarray, label: np.ndarray) -> Appearance | None:
    """Compares nuclei with the rest of a patch.

    Args:
      image: uint8 [H, W, 3], RGB.
      label: uint8 [H, W], 0 = background; pixels of `VOID_LABEL` are left out.

    Returns:
      The look of the nuclei; None where a patch has no nucleus, or nothing else.

    >>> image = np.full((2, 2, 3), 200, np.uint8)
    >>> image[0] = (90, 80, 140)
    >>> appearance(image, np.array([[1, 1], [0, 0]], np.uint8))
    Appearance(is_bright=False, is_blue_darker=False)
    """
    is_nucleus, is_rest = ((label > 0) & (label != VOID_LABEL)).ravel(), (label == 0).ravel()
    count, rest = int(np.count_nonzero(is_nucleus)), int(np.count_nonzero(is_rest))
    if not count or not rest:
        return None
    # By far the fastest sums, and exact: whole numbers below 2^24 in patches up to 256 px, below 2^53 in others.
    dtype = np.float32 if label.size * 255 < 1 << 24 else np.float64
    pixels: np.ndarray = image.reshape(-1, 3).astype(dtype)
    inside, outside = (part.astype(dtype) @ pixels for part in (is_nucleus, is_rest))
    darker = outside / rest - inside / count
    return Appearance(bool(darker.sum() <= 0), bool(darker[2] > darker[0]))


def suspicion(bright: int, blue: int, patches: int) -> Literal["bgr", "mismatch"] | None:
    """Judges how many patches look wrong.

    Args:
      bright: patches with `is_bright`.
      blue: patches with `is_blue_darker`.
      patches: patches with nuclei.

    Returns:
      bgr = red and blue seem to be exchanged; mismatch = labels seem to be of other images, or images inverted;
      None = neither.

    >>> suspicion(0, 9, 10), suspicion(5, 5, 10), suspicion(1, 2, 10)
    ('bgr', 'mismatch', None)
    """
    most = max(_FEW_PATCHES, _MOST_UNLIKELY * patches)
    if blue > max(most, patches / 2) and bright <= most:
        return "bgr"
    return "mismatch" if max(bright, blue) > most else None


def suspicion_note(bright: int, blue: int, patches: int, where: str = "") -> str:
    """Returns a sentence on what `suspicion` finds, '' if nothing; `where` follows 'patches with nuclei'."""
    of_patches = f"of {counted(patches, 'patch')} with nuclei{where}"
    suspected = suspicion(bright, blue, patches)
    if suspected == "bgr":
        return (
            f"In {blue:,} {of_patches} the nuclei are darker by more in blue than in red: the images seem to be BGR,"
            " not RGB."
        )
    if suspected == "mismatch":
        return (
            f"In {bright:,} {of_patches} the nuclei are not darker than the rest, in {blue:,} darker by more in blue"
            " than in red: labels seem to be shifted, turned or of other images, or the images are inverted."
        )
    return ""
