"""Labels in `.mat` files, as CoNSeP and HoVer-Net publish them.

inst_map       [H, W]: 0, or the id of a nucleus; ids may have gaps
inst_type      [K] or [K, 1], optional: class of each nucleus, in the order of the sorted ids
type_map       [H, W], optional: class of each pixel; checked against inst_type, or used in its place
inst_centroid  [K, 2], optional: x, y of each nucleus; checked against inst_map
"""

import dataclasses
import pathlib
import warnings
from collections.abc import Iterable

import numpy as np
import scipy.io
import scipy.ndimage

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import LARGEST_CLASS_COUNT
from nucseg_jax.data.labels.nuclei import Annotation
from nucseg_jax.data.labels.raster import require_size, whole_numbers
from nucseg_jax.data.labels.raster_meaning import numbered, of_instances

_HDF5 = b"\x89HDF\r\n\x1a\n"
_USED = ("inst_map", "inst_type", "type_map", "inst_centroid")
# Counting from 1 moves a centroid by 1.41 px.
_CENTROID_TOLERANCE_PX = 2.0
# Published centroids of single nuclei may be off; those of another order of nuclei all are.
_LARGEST_SHARE_OFF = 0.05
_MOST_NAMES, _LONGEST_NAME = 10, 60
_PLACE_ADVICE = "write inst_type and inst_centroid in the order of the sorted ids of inst_map"


def read_mat(path: pathlib.Path, image_height: int, image_width: int) -> Annotation:
    """Reads the nuclei of a CoNSeP file, or of one with `inst_map` alone; nothing is unpickled.

    Raises:
      UserError: no `inst_map` of the image's size, MATLAB 7.3, or variables that contradict each other.
      Exception: whatever SciPy raises for a damaged file.
    """
    with path.open("rb") as file:
        # HDF5 may begin with a block of MATLAB's own.
        head = file.read(512 + len(_HDF5))
    if _HDF5 in (head[: len(_HDF5)], head[512:]):
        raise UserError(
            "the file is of MATLAB 7.3 (HDF5), which is not read", advice="save it with save(..., '-v7')"
        )
    with warnings.catch_warnings():
        # SciPy warns where a number format or a second variable of one name is not understood, and reads on.
        warnings.simplefilter("error", UserWarning)
        return _annotation(path, image_height, image_width)


def _annotation(path: pathlib.Path, image_height: int, image_width: int) -> Annotation:
    shapes = {name: shape for name, shape, _ in scipy.io.whosmat(str(path), appendmat=False)}
    if "inst_map" not in shapes:
        raise UserError(
            f"it holds no inst_map, but {_listed(shapes) or 'nothing'}",
            expected="inst_map: the id of a nucleus for each pixel",
        )
    for name in ("inst_map", "type_map"):
        if name in shapes:
            if len(shapes[name]) != 2:
                raise UserError(f"{name} has the shape {tuple(shapes[name])}", expected="rows and columns")
            require_size(shapes[name][0], shapes[name][1], image_height, image_width)
    read = scipy.io.loadmat(
        str(path), appendmat=False, variable_names=[name for name in _USED if name in shapes]
    )
    variables = {name: _numbers(name, read[name]) for name in _USED if name in read}
    number, ids = numbered(_whole("inst_map", variables["inst_map"]))
    if number.shape != (image_height, image_width):
        raise UserError(f"inst_map has the shape {number.shape}", expected=f"{(image_height, image_width)}")
    classes, notes = _classes(variables, number, ids)
    if "inst_centroid" in variables:
        notes += _check_centroids(variables["inst_centroid"], number, ids)
    if unused := set(shapes) - set(_USED):
        notes.append(f"variables that are not read: {_listed(unused)}")
    annotation = of_instances(number, ids, classes)
    return dataclasses.replace(annotation, notes=(*annotation.notes, *notes))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name[:_LONGEST_NAME] for name in sorted(names)[:_MOST_NAMES])


def _numbers(name: str, values: object) -> np.ndarray:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise UserError(f"{name} holds no numbers", expected="an array of numbers")
    return values


def _whole(name: str, values: np.ndarray) -> np.ndarray:
    try:
        return whole_numbers(values)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def _classes(
    variables: dict[str, np.ndarray], number: np.ndarray, ids: np.ndarray
) -> tuple[tuple[int, ...], list[str]]:
    """The class of each nucleus, () = none are stated; and notes."""
    by_pixel = None
    if "type_map" in variables:
        by_pixel = _most_frequent(number, _types("type_map", variables["type_map"]), len(ids))
    if "inst_type" not in variables:
        if by_pixel is None:
            return (), []
        _require_classes(by_pixel, ids, "type_map")
        return tuple(by_pixel.tolist()), [
            "classes are those of most pixels in type_map: inst_type is missing"
        ]
    stated = _types("inst_type", variables["inst_type"]).ravel()
    if len(stated) != len(ids):
        raise UserError(
            f"inst_type has {counted(len(stated), 'value')}, inst_map {counted(len(ids), 'nucleus')}",
            expected="a class for each nucleus, in the order of the sorted ids",
        )
    _require_classes(stated, ids, "inst_type")
    if by_pixel is not None and (differs := np.flatnonzero(by_pixel != stated)).size:
        first = int(differs[0])
        raise UserError(
            f"{counted(differs.size, 'nucleus')} of {len(ids):,} have other classes in inst_type than in type_map; the"
            f" first is id {ids[first]}: {stated[first]} in inst_type, {by_pixel[first]} in type_map",
            expected="the same class in both",
            advice=_PLACE_ADVICE,
        )
    return tuple(stated.tolist()), []


def _types(name: str, values: np.ndarray) -> np.ndarray:
    values = _whole(name, values)
    if values.size and int(values.max()) > LARGEST_CLASS_COUNT:
        raise UserError(f"{name} has the class {values.max():,}", expected=f"at most {LARGEST_CLASS_COUNT}")
    return values.astype(np.int64)


def _require_classes(classes: np.ndarray, ids: np.ndarray, name: str) -> None:
    if (without := np.flatnonzero(classes == 0)).size:
        raise UserError(
            f"{counted(without.size, 'nucleus')} of {len(ids):,} have the class 0, background, in {name}; the first is"
            f" id {ids[int(without[0])]}",
            expected="a class from 1 upwards for each nucleus",
        )


def _most_frequent(number: np.ndarray, types: np.ndarray, count: int) -> np.ndarray:
    """int64 [count]: the type of most pixels of each number, the lowest of several."""
    most = int(types.max(initial=0)) + 1
    pairs = np.bincount(number.ravel().astype(np.int64) * most + types.ravel(), minlength=(count + 1) * most)
    types_of: np.ndarray = pairs.reshape(count + 1, most)[1:].argmax(axis=1)
    return types_of


def _check_centroids(stated: np.ndarray, number: np.ndarray, ids: np.ndarray) -> list[str]:
    """Notes on single centroids that are off.

    Raises:
      UserError: more of them are, as where the order of nuclei or of x and y is another.
    """
    if not len(ids) and not stated.size:
        return []
    if stated.shape != (len(ids), 2):
        raise UserError(
            f"inst_centroid has the shape {stated.shape}",
            expected=f"({len(ids)}, 2): x and y of each nucleus",
        )
    y, x = np.transpose(
        scipy.ndimage.center_of_mass(np.ones_like(number), number, np.arange(1, len(ids) + 1))
    )
    own = np.stack([x, y], axis=1)
    is_off = ~(np.abs(stated - own).max(axis=1) <= _CENTROID_TOLERANCE_PX)
    if not is_off.any():
        return []
    first = int(np.flatnonzero(is_off)[0])
    off = (
        f"{counted(int(is_off.sum()), 'centroid')} of {len(ids):,} are over {_CENTROID_TOLERANCE_PX:g} px off"
    )
    if is_off.mean() <= _LARGEST_SHARE_OFF:
        return [f"{off} in inst_centroid; the first is of id {ids[first]}"]
    is_swapped = (np.abs(stated[:, ::-1] - own).max(axis=1) <= _CENTROID_TOLERANCE_PX).mean() > 0.9
    raise UserError(
        f"{off}; the first is of id {ids[first]}: {stated[first, 0]:.1f}, {stated[first, 1]:.1f} in inst_centroid,"
        f" {own[first, 0]:.1f}, {own[first, 1]:.1f} in inst_map",
        expected="x and y of each nucleus, in the order of the sorted ids",
        advice="exchange x and y, or rows and columns of inst_map" if is_swapped else _PLACE_ADVICE,
    )
