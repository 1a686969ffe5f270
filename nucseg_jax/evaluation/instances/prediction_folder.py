"""Instance and class maps of the patches of a split in a folder; see `given_predictions` for the names of the files."""

import pathlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.extras import require_extra
from nucseg_jax.core.files import require_regular_file
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.labels.npy import read_npy
from nucseg_jax.data.labels.png import read_png
from nucseg_jax.data.labels.raster import whole_numbers
from nucseg_jax.evaluation.instances.instance_map import instance_map

_NAME = re.compile(r"(\d+)_(\d+)\.(instance|class)\.(?:npy|png|tiff?)", re.IGNORECASE)
_EXPECTED = "FOLD_ROW.instance.EXT for each patch of the split, FOLD_ROW.class.EXT for all or none; EXT: npy, png, tif"
# A table of classes by id is made for each image.
_LARGEST_ID = 2**24 - 1


class PredictionFiles(NamedTuple):
    """The files of N patches, in the order of the split.

    Attributes:
      instances: maps of ids.
      classes: maps of classes; None where there are none.
    """

    instances: Sequence[pathlib.Path]
    classes: Sequence[pathlib.Path] | None


def find_files(folder: pathlib.Path, patches: np.ndarray) -> PredictionFiles:
    """Finds the files of all patches by name; hidden files are passed over.

    Args:
      folder: with one or two files a patch.
      patches: integer [N, 2], (fold, row in the fold).

    Raises:
      UserError: a name is none of a prediction, two files are of one patch, files are missing, or files are of patches
        that are not in the split.
    """
    found: dict[str, dict[tuple[int, int], pathlib.Path]] = {"instance": {}, "class": {}}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise UserError(f"{path} has no name of a prediction", expected=_EXPECTED)
        of_kind, patch = found[match[3].lower()], (int(match[1]), int(match[2]))
        if patch in of_kind:
            raise UserError(f"{of_kind[patch]} and {path.name} are of one patch", expected=_EXPECTED)
        of_kind[patch] = path
    listed = [(int(fold), int(row)) for fold, row in patches]
    instances = _in_order(folder, found["instance"], listed, "instance")
    classes = _in_order(folder, found["class"], listed, "class") if found["class"] else None
    return PredictionFiles(instances, classes)


def read_files(
    files: PredictionFiles, position: int, info: DatasetInfo
) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads the maps of one patch.

    Args:
      files: of the split.
      position: of the patch in the split.
      info: of the data set.

    Returns:
      Ids, uint32 [S, S], and the class of each id, uint8 [K + 1]; None without classes.

    Raises:
      UserError: a file cannot be read, has another size than the patches, or holds no ids or classes.
    """
    path = files.instances[position]
    ids = _read(path, info.patch_px)
    largest = int(ids.max(initial=0))
    if largest > _LARGEST_ID:
        raise UserError(
            f"{path} holds the id {largest}",
            expected=f"at most {_LARGEST_ID}",
            advice="number the nuclei of each image from 1",
        )
    ids = ids.astype(np.uint32)
    if files.classes is None:
        return ids, None
    class_path = files.classes[position]
    label = _read(class_path, info.patch_px)
    num_classes = len(info.classes)
    if int(label.max(initial=0)) > num_classes:
        raise UserError(
            f"{class_path} holds the class {int(label.max())}",
            expected=f"0 = background, 1..{num_classes}: {', '.join(info.class_names)}",
        )
    nuclei = instance_map(ids)
    votes = nuclei.votes(label, num_classes + 1)[:, 1:]
    class_of: np.ndarray = np.zeros(largest + 1, np.uint8)
    class_of[nuclei.ids] = np.where(votes.any(axis=1), 1 + votes.argmax(axis=1), 0)
    return ids, class_of


def _in_order(
    folder: pathlib.Path,
    found: dict[tuple[int, int], pathlib.Path],
    listed: list[tuple[int, int]],
    kind: str,
) -> list[pathlib.Path]:
    missing = [patch for patch in listed if patch not in found]
    if missing:
        fold, row = missing[0]
        raise UserError(
            f"{folder} has no {kind} map for {counted(len(missing), 'patch')} of {len(listed):,}, such as"
            f" {fold}_{row}.{kind}.png",
            expected=_EXPECTED,
        )
    if strangers := sorted(found.keys() - set(listed)):
        raise UserError(
            f"{folder} has {kind} maps for {counted(len(strangers), 'patch')} outside of the split, such as"
            f" {found[strangers[0]].name}",
            expected=_EXPECTED,
            advice="leave them out, or choose the split that was predicted",
        )
    return [found[patch] for patch in listed]


def _read(path: pathlib.Path, patch_px: int) -> np.ndarray:
    """Reads a map of whole numbers from 0, integer [S, S]."""
    try:
        require_regular_file(path)
        values = whole_numbers(_reader(path)(path, patch_px, patch_px))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    # Pillow, tifffile and NumPy each raise their own errors on a damaged file.
    except Exception as error:
        raise UserError(f"{path} cannot be read: {reason_of(error)}", advice="write it again") from error
    return values.astype(np.int64)


def _reader(path: pathlib.Path) -> Callable[[pathlib.Path, int, int], np.ndarray]:
    ending = path.suffix.lower()
    if ending in (".tif", ".tiff"):
        require_extra("images", f"reading {path.name}")
        from nucseg_jax.data.labels.tiff import read_tiff

        return read_tiff
    return read_npy if ending == ".npy" else read_png
