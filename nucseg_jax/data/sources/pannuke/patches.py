"""Checked patches of a release, one by one: uint8 images, integer masks, known tissues."""

import contextlib
import dataclasses
from collections.abc import Generator

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import labels, npy, vocabulary
from nucseg_jax.data.sources.pannuke.release import FoldFiles

_IMAGE_SHAPE = (vocabulary.PATCH_PX, vocabulary.PATCH_PX, 3)
_MASKS_SHAPE = (vocabulary.PATCH_PX, vocabulary.PATCH_PX, labels.NUM_CHANNELS)
# Ids are 32 bits wide so that a channel fits beside them in one int64.
_LARGEST_ID = np.iinfo(np.int32).max
# What resampling makes of an image that was scaled to 0..1 may lie a little above 1.
_LARGEST_SCALED = 2
_TYPES_LIMIT_BYTES = 64 << 20
_OFFICIAL = "get the file from the official release"


@dataclasses.dataclass(frozen=True)
class Patch:
    """One patch as it is stored, with what its masks were seen to hold.

    Attributes:
      fold: 1, 2 or 3.
      index: row in the fold's arrays.
      image: uint8 [256, 256, 3], RGB.
      label: uint8 [256, 256], 0 = background, 1..5 the classes.
      instance: uint16 [256, 256], 0 = background, 1..K.
      tissue: position in `vocabulary.TISSUES`.
      observations: counts for the audit.
    """

    fold: int
    index: int
    image: np.ndarray
    label: np.ndarray
    instance: np.ndarray
    tissue: int
    observations: labels.Observations


@dataclasses.dataclass(frozen=True)
class CheckedFold:
    """A fold whose headers and tissues were found right; its pixels are checked as they are read.

    Attributes:
      files: where the arrays lie.
      tissues: int32 [patches], positions in `vocabulary.TISSUES`.
    """

    files: FoldFiles
    tissues: np.ndarray

    @property
    def num_patches(self) -> int:
        """Rows of each of the three arrays."""
        return len(self.tissues)


def check_fold(files: FoldFiles) -> CheckedFold:
    """Checks all of a fold that can be checked without reading a pixel.

    Args:
      files: where the fold's arrays lie.

    Returns:
      The fold, ready for `read_patches`.

    Raises:
      UserError: a rank, shape or dtype is wrong, the arrays differ in length or are empty, or a tissue is not
        one of the 19.
    """
    lengths = {
        files.images: _check_pixels_header(files.images, _IMAGE_SHAPE, "RGB images"),
        files.masks: _check_pixels_header(files.masks, _MASKS_SHAPE, "masks of five classes and background"),
    }
    tissues = _read_tissues(files.types, files.fold)
    lengths[files.types] = len(tissues)
    if len(set(lengths.values())) > 1:
        raise UserError(
            f"The arrays of fold {files.fold} differ in length: "
            + "; ".join(f"{counted(length, 'row')} in {member}" for member, length in lengths.items())
            + ".",
            expected="one image, one mask and one tissue a patch",
            advice="take all three files from the same release",
        )
    if not len(tissues):
        raise UserError(
            f"Fold {files.fold} has no patch: {files.images} has 0 rows.",
            expected="at least one patch in every fold",
            advice=_OFFICIAL,
        )
    return CheckedFold(files, tissues)


def read_patches(fold: CheckedFold) -> Generator[Patch, None, None]:
    """Yields the patches of a fold in the order of its rows; memory for a few patches is all that it takes.

    Args:
      fold: a fold that `check_fold` returned.

    Yields:
      Each patch, its arrays its own.

    Raises:
      UserError: a value is not of an image (0..255; fractions are rounded) or not an id (whole numbers from 0 to
        2,147,483,647), or a file is damaged.
    """
    with (
        contextlib.closing(npy.rows(fold.files.images)) as images,
        contextlib.closing(npy.rows(fold.files.masks)) as masks,
    ):
        for index, (image, ids, tissue) in enumerate(zip(images, masks, fold.tissues, strict=True)):
            where = f"patch {index} of fold {fold.files.fold}"
            image_uint8 = _whole_numbers(_rounded(image), np.uint8, fold.files.images, where)
            label, instance, observations = labels.from_masks(
                _whole_numbers(ids, np.int32, fold.files.masks, where)
            )
            yield Patch(fold.files.fold, index, image_uint8, label, instance, int(tissue), observations)


def _check_pixels_header(member: npy.Member, row_shape: tuple[int, ...], meaning: str) -> int:
    header = npy.read_header(member)
    if header.row_shape != row_shape:
        raise UserError(
            f"{member} has the shape {header.shape}.",
            expected=f"(patches, {', '.join(map(str, row_shape))}), {meaning}",
            advice=_OFFICIAL,
        )
    if header.dtype.kind not in "fiu":
        raise UserError(
            f"{member} has the dtype {header.dtype}.",
            expected="float64 as in the release, float32, or an integer dtype such as uint8",
            advice=_OFFICIAL,
        )
    return header.shape[0]


def _read_tissues(member: npy.Member, fold: int) -> np.ndarray:
    header = npy.read_header(member)
    if len(header.shape) != 1 or header.dtype.kind not in "US":
        raise UserError(
            f"{member} has the shape {header.shape} and dtype {header.dtype}.",
            expected="one string a patch: shape (patches,), dtype such as <U13",
            advice=_OFFICIAL,
        )
    names = npy.read_whole(member, _TYPES_LIMIT_BYTES)
    if names.dtype.kind == "S":
        names = np.char.decode(names, "latin-1")
    position = {name: index for index, name in enumerate(vocabulary.TISSUES)}
    unknown = sorted(set(names.tolist()) - position.keys())
    if unknown:
        row = int(np.flatnonzero(names == unknown[0])[0])
        raise UserError(
            f"{member} names unknown tissues: {', '.join(map(repr, unknown[:5]))}"
            f"{' and others' if len(unknown) > 5 else ''} (first in patch {row} of fold {fold}).",
            expected=f"one of {', '.join(vocabulary.TISSUES)}",
            advice="write them as the release spells them",
        )
    return np.array([position[name] for name in names.tolist()], np.int32)


def _rounded(image: np.ndarray) -> np.ndarray:
    """Rounds fractions within 0..255, as resampled copies of the release have them; leaves all else to the check."""
    if image.dtype.kind != "f":
        return image
    # NaN fails the comparison; a maximum of about 1 means an image scaled to 0..1, which rounding would ruin.
    low, high = image.min(), image.max()
    return np.rint(image) if low >= 0 and _LARGEST_SCALED < high <= 255 else image


def _whole_numbers(row: np.ndarray, dtype: type[np.integer], member: npy.Member, patch: str) -> np.ndarray:
    """Casts a row exactly, or names the value that has no equal in the dtype. Always copies."""
    # A cast and a comparison see NaN, infinity, fractions and every value out of range in two passes.
    with np.errstate(invalid="ignore"):
        cast = row.astype(dtype)
    is_wrong = cast != row
    if dtype is np.int32:
        is_wrong |= cast < 0
    if is_wrong.any():
        where = np.unravel_index(int(np.argmax(is_wrong)), row.shape)
        is_image = dtype is np.uint8
        scaled = is_image and row.dtype.kind == "f" and 0 <= row.min() <= row.max() <= _LARGEST_SCALED
        raise UserError(
            f"{member} holds the value {row[where]} in {patch} at row {where[0]}, column {where[1]},"
            f" channel {where[2]} ({np.count_nonzero(is_wrong):,} such values in this patch).",
            expected="numbers 0..255" if is_image else f"ids, whole numbers 0..{_LARGEST_ID:,}",
            advice="multiply the images by 255: they seem to be scaled to 0..1"
            if scaled
            else f"correct that patch, or {_OFFICIAL}",
        )
    return cast
