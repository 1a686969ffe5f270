"""Predictions that another program made for the patches of a split, checked before they are scored.

Two layouts:
    a folder      for the patch of fold F and row R (both stand in `per_image_{split}.csv`) the files
                  F_R.instance.EXT  ids, 0 = background
                  F_R.class.EXT     a class 0..C for each pixel; missing of all patches: nuclei without classes
                  EXT is npy, png, tif or tiff; numbers may have leading zeros, as in 3_0012.instance.png
    masks.npy     one array [N, S, S, C + 1] in the layout of PanNuke's masks (see `pannuke_channels`), its rows in the
                  order of the split's index list: with PanNuke's official split, the rows of the test fold

Files are read image by image; an array is mapped into memory, not read whole. In a folder the class of a nucleus is
that of most of its pixels, the lower one of two that tie, and 0 where none of them has a class.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.pieces import count_disconnected
from nucseg_jax.data.sources.pannuke.npy import Member, read_header
from nucseg_jax.evaluation.instances.pannuke_channels import flatten_channels
from nucseg_jax.evaluation.instances.prediction_folder import find_files, read_files


class GivenPrediction(NamedTuple):
    """The prediction of one image.

    Attributes:
      instance: uint32 [H, W], 0 = background.
      class_of: uint8 [K + 1], class of each id up to the largest, 0 = none; None where no classes were given.
    """

    instance: np.ndarray
    class_of: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class GivenPredictions:
    """Predictions of all patches of a split, in its order; from `open_predictions`.

    Attributes:
      patch_count: N.
      has_classes: nuclei come with classes.
      read: reads the prediction at a position of the split's index list; raises UserError where it cannot be read, has
        another size than the patches, or does not hold ids and classes.
    """

    patch_count: int
    has_classes: bool
    read: Callable[[int], GivenPrediction]

    def __len__(self) -> int:
        return self.patch_count

    def __iter__(self) -> Iterator[GivenPrediction]:
        """Yields all predictions in the order of the split.

        Raises:
          UserError: as `read`; and at the end, if no image has two nuclei of a class, and one nucleus is in several
            pieces: these are masks, in which all nuclei would count as one.
        """
        most, is_in_pieces = 0, False
        for position in range(self.patch_count):
            given = self.read(position)
            if most <= 1:
                most = max(most, _most_of_a_class(given))
                is_in_pieces |= bool(count_disconnected(given.instance))
            yield given
        if most <= 1 and is_in_pieces:
            raise UserError(
                "no predicted image has two nuclei of a class, and some nuclei are in several pieces: these are masks",
                expected="an id for each nucleus",
                advice="number the nuclei of each image, such as by scipy.ndimage.label",
            )


def open_predictions(path: pathlib.Path, patches: np.ndarray, info: DatasetInfo) -> GivenPredictions:
    """Opens predictions, and checks all that can be checked without reading pixels.

    Args:
      path: a folder, or a `.npy` file; see the head of this file.
      patches: integer [N, 2], (fold, row in the fold) of the split, in its order.
      info: of the data set.

    Raises:
      UserError: nothing is there, files of patches are missing or no patch's, or the array has another shape or type.
    """
    if path.is_dir():
        files = find_files(path, patches)
        has_classes = bool(info.classes) and files.classes is not None
        if not has_classes:
            files = files._replace(classes=None)

        def from_files(position: int) -> GivenPrediction:
            return GivenPrediction(*read_files(files, position, info))

        return GivenPredictions(len(patches), has_classes, from_files)
    if not path.is_file():
        raise UserError(
            f"{path} does not exist",
            expected="a folder of instance maps, or an array in the layout of masks.npy",
        )
    stack = _open_stack(path, len(patches), info)

    def from_stack(position: int) -> GivenPrediction:
        try:
            flat = flatten_channels(np.asarray(stack[position]))
        except UserError as error:
            raise UserError(f"{path}, row {position}: {error}") from error
        return GivenPrediction(flat.instance, flat.class_of)

    return GivenPredictions(len(patches), True, from_stack)


def _open_stack(path: pathlib.Path, count: int, info: DatasetInfo) -> np.ndarray:
    """Maps an array in the layout of PanNuke's masks into memory."""
    header = read_header(Member(path))
    if not info.classes:
        raise UserError(
            f"{path} is one array, and nuclei of the data set {info.name!r} have no classes",
            expected="a folder of instance maps",
        )
    row = (info.patch_px, info.patch_px, len(info.classes) + 1)
    if header.row_shape != row:
        raise UserError(
            f"{path} has the shape {header.shape}",
            expected=f"{(count, *row)}: patches, height, width, one channel of ids a class, and background",
        )
    if header.shape[0] != count:
        raise UserError(
            f"{path} holds {counted(header.shape[0], 'patch')}",
            expected=f"{counted(count, 'patch')}, one for each of the split, in its order",
            advice="leave out other patches, or choose the split that was predicted",
        )
    if header.dtype.kind not in "biuf":
        raise UserError(f"{path} is of the type {header.dtype}", expected="whole numbers")
    try:
        stack: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {reason_of(error)}") from error
    return stack


def _most_of_a_class(given: GivenPrediction) -> int:
    """Counts the nuclei of the most frequent class."""
    ids = np.unique(given.instance[given.instance > 0])
    classes = np.zeros(len(ids), np.int64) if given.class_of is None else given.class_of[ids]
    return int(np.bincount(classes).max(initial=0))
