"""The meaning of a label raster: ids of nuclei, a mask, or classes.

    instances   each number other than 0 is a nucleus, in one piece or several
    mask        two values, 0 and another; each connected piece is a nucleus
    classes     each number 1..254 is a class, each connected piece of one a nucleus; 255 = not annotated
    auto        decided from the values, or refused
    ids         instances, or a mask where there is one value beside 0: what a program that finds nuclei writes

Pieces are 8-connected. `auto` decides as follows, in this order:

    no value but 0                          nothing is annotated
    one value beside 0                      mask
    more than 20 values beside 0, or one above 255; and 9 of 10 of them lie in one piece each
                                            instances: no map of classes is like that
    anything else                           refused: the numbers could be ids or classes

The notes of the annotation state the reading, whichever it was.
"""

import dataclasses
from typing import Literal

import numpy as np
from skimage.measure import label as connected_pieces

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.labels.nuclei import Annotation
from nucseg_jax.data.labels.raster import RasterShapes, whole_numbers

# As dataset.yaml states it.
LabelKind = Literal["auto", "instances", "mask", "classes"]
RasterKind = LabelKind | Literal["ids"]

_MOST_CLASSES_OF_AUTO = 20
_LEAST_SHARE_IN_ONE_PIECE = 0.9
# Ids up to this are looked up, larger ones searched for.
_LARGEST_TABLE = 1 << 24
# Masks of nuclei cover less, even in lymphoid tissue; masks whose nuclei are 0 cover more.
_DENSE_SHARE = 0.65


def raster_annotation(values: np.ndarray, kind: RasterKind) -> Annotation:
    """Understands a label raster.

    Args:
      values: [H, W] of any dtype.
      kind: see above.

    Raises:
      UserError: values that the kind does not hold for, or that 'auto' cannot decide on.
    """
    values = whole_numbers(values)
    found = np.unique(values)
    nonzero = [int(value) for value in found[found != 0]]
    is_declared = kind != "auto"
    if kind == "ids":
        kind = "mask" if len(nonzero) < 2 else "instances"
    if kind == "auto":
        kind = _decided(values, nonzero)
    if kind == "mask":
        mask = _of_mask(values, nonzero)
        if is_declared or mask.nucleus_count < 2:  # A single nucleus is the same as a mask and as an id.
            return mask
        return dataclasses.replace(mask, mask_value=nonzero[0])
    if kind == "classes":
        return _of_classes(values, nonzero)
    return of_instances(*numbered(values))


def numbered(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers ids by their order.

    Args:
      ids: integers [H, W], 0 = background.

    Returns:
      number: int32 [H, W], 0..K.
      sorted_ids: [K], the id of each number.
    """
    found = np.unique(ids)
    found = found[found != 0]
    if not found.size or int(found[-1]) >= _LARGEST_TABLE:
        number: np.ndarray = np.searchsorted(found, ids, side="right").astype(np.int32)
    else:
        table: np.ndarray = np.zeros(int(found[-1]) + 1, np.int32)
        table[found.astype(np.intp)] = np.arange(1, len(found) + 1)
        number = table[ids.astype(np.intp)]
    return number, found


def of_instances(
    number: np.ndarray, ids: np.ndarray, classes: tuple[str | int | None, ...] = ()
) -> Annotation:
    """The annotation of numbered ids.

    Args:
      number: int32 [H, W], 0..K.
      ids: [K], the id of each number.
      classes: of each number, () = none.

    Raises:
      UserError: most ids lie in several pieces, as in a map of classes or a mask; or no pixel is background.
    """
    if len(ids) > 1 and number.all():
        raise UserError(
            f"no pixel is 0; the lowest number is {ids[0]}",
            expected="0 = background",
            advice="save the background as 0",
        )
    split = int((_piece_counts(number, len(ids)) > 1).sum())
    if split * 2 > len(ids):
        raise UserError(
            f"{split:,} of {counted(len(ids), 'id')} lie in several pieces: these are not ids of nuclei",
            expected="an id of its own for each nucleus",
            advice="if they are classes or a mask, set `labels: classes` or `labels: mask` in dataset.yaml; `measure`"
            " takes ids, and masks of one value",
        )
    notes = [f"the numbers are read as ids of {counted(len(ids), 'nucleus')}"]
    if split:
        notes.append(f"{counted(split, 'nucleus')} not in one piece")
    return dataclasses.replace(_annotation(number, classes or (None,) * len(ids), notes), ids=ids)


def _decided(values: np.ndarray, nonzero: list[int]) -> LabelKind:
    """The kind of an undeclared raster."""
    if len(nonzero) < 2:
        return "mask"
    if len(nonzero) > _MOST_CLASSES_OF_AUTO or nonzero[-1] > VOID_LABEL:
        number, ids = numbered(values)
        in_one_piece = (_piece_counts(number, len(ids)) == 1).sum()
        if in_one_piece >= _LEAST_SHARE_IN_ONE_PIECE * len(ids):
            return "instances"
    shown = ", ".join(map(str, nonzero[:5])) + (", ..." if len(nonzero) > 5 else "")
    raise UserError(
        f"the labels have {counted(len(nonzero), 'value')} beside 0 ({shown}): they could be ids of nuclei or classes",
        expected="a statement of what they are",
        advice="set `labels: instances`, `labels: classes` or `labels: mask` in dataset.yaml",
    )


def _of_mask(values: np.ndarray, nonzero: list[int]) -> Annotation:
    if len(nonzero) > 1:
        raise UserError(
            f"the mask has {counted(len(nonzero), 'value')} beside 0, from {nonzero[0]} to {nonzero[-1]}",
            expected="two values, 0 and another",
            advice="save it without grey edges, or set `labels: instances` or `labels: classes` in dataset.yaml",
        )
    number, count = connected_pieces(values != 0, connectivity=2, return_num=True)
    notes = []
    if count:
        notes.append(
            f"a mask of the value {nonzero[0]}: its connected pieces are read as {counted(count, 'nucleus')};"
            " nuclei that touch are one"
        )
        share = np.count_nonzero(number) / number.size
        if share > _DENSE_SHARE:
            notes.append(f"{share:.0%} of the pixels are nuclei: make sure that background is 0")
    return _annotation(number, (None,) * count, notes)


def _of_classes(values: np.ndarray, nonzero: list[int]) -> Annotation:
    if nonzero and nonzero[-1] > VOID_LABEL:
        raise UserError(
            f"the map of classes has the value {nonzero[-1]:,}",
            expected=f"0 = background, 1 to {VOID_LABEL - 1} = classes, {VOID_LABEL} = not annotated",
        )
    if nonzero == [VOID_LABEL]:
        raise UserError(
            f"the map of classes has no values but 0 and {VOID_LABEL}, which stands for not annotated",
            expected="classes from 1 upwards",
            advice="if it is a mask, set `labels: mask` in dataset.yaml",
        )
    if len(nonzero) > 1 and values.all():
        raise UserError(
            f"no pixel is 0; the lowest number is {nonzero[0]}",
            expected="0 = background, classes from 1 upwards",
            advice="save the background as 0",
        )
    is_void = values == VOID_LABEL
    maps = np.where(is_void, 0, values).astype(np.uint8)
    number, count = connected_pieces(maps, connectivity=2, return_num=True)
    first = np.zeros(count + 1, np.uint8)
    first[number.ravel()] = maps.ravel()
    notes = []
    if count:
        notes.append(
            f"a map of classes: the connected pieces of each are read as {counted(count, 'nucleus')}"
        )
    if is_void.any():
        notes.append(f"{counted(int(is_void.sum()), 'pixel')} of the value {VOID_LABEL}: not annotated")
    classes = tuple(int(each) for each in first[1:])
    return _annotation(number, classes, notes, is_void if is_void.any() else None)


def _annotation(
    number: np.ndarray,
    classes: tuple[str | int | None, ...],
    notes: list[str],
    is_void: np.ndarray | None = None,
) -> Annotation:
    shapes = RasterShapes(number.astype(np.int32, copy=False), is_void)
    height, width = number.shape
    return Annotation(shapes, classes, height, width, has_void=is_void is not None, notes=tuple(notes))


def _piece_counts(number: np.ndarray, count: int) -> np.ndarray:
    """int64 [count]: connected pieces of each number."""
    pieces, piece_count = connected_pieces(number, connectivity=2, return_num=True)
    number_of_piece = np.zeros(piece_count + 1, np.int64)
    number_of_piece[pieces.ravel()] = number.ravel()
    return np.bincount(number_of_piece[1:], minlength=count + 1)[1:]
