"""Nuclei, classes and void of one image on the patches' grid: its label, its class map and its regions as one."""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.labels.annotation import Annotation, Drawn, LabelKind, read_annotation
from nucseg_jax.data.sources.folder.layout import ImageFiles

_STRIP_PX = 512
_LEVELS = 256


@dataclasses.dataclass(frozen=True, eq=False)
class ImageLabels:
    """Labels of one image.

    Attributes:
      annotation: its nuclei, with their classes.
      masks: more that may mark pixels as not annotated: the class map.
      regions: shapes inside which the image is annotated; None = it is everywhere.
      notes: sentences that a person should read.
    """

    annotation: Annotation
    masks: tuple[Annotation, ...] = ()
    regions: Annotation | None = None
    notes: tuple[str, ...] = ()

    @property
    def may_be_void(self) -> bool:
        """True where `draw` can give `VOID_LABEL`."""
        return self.regions is not None or any(each.has_void for each in (self.annotation, *self.masks))

    def draw(
        self,
        top: int,
        left: int,
        height: int,
        width: int,
        *,
        scale_y: float,
        scale_x: float,
        class_number: Mapping[str | int | None, int],
    ) -> Drawn:
        """Draws a window as `Annotation.draw` does; nuclei are 0 where the label is `VOID_LABEL`."""
        place = (top, left, height, width)
        drawn = self.annotation.draw(*place, scale_y=scale_y, scale_x=scale_x, class_number=class_number)
        is_void: np.ndarray = np.zeros((height, width), bool)
        for mask in self.masks:
            is_void |= _label(mask, place, scale_y, scale_x) == VOID_LABEL
        if self.regions is not None:
            is_void |= ~_is_inside(self.regions, place, scale_y, scale_x)
        if not is_void.any():
            return drawn
        return Drawn(
            np.where(is_void, 0, drawn.instance), np.where(is_void, VOID_LABEL, drawn.label).astype(np.uint8)
        )


def read_labels(files: ImageFiles, kind: LabelKind, *, height: int, width: int) -> ImageLabels:
    """Reads all labels of an image.

    Args:
      files: of the image.
      kind: of rasters; 'auto' beside a class map is instances.
      height, width: of the image, px.

    Raises:
      UserError: one cannot be read, its size is not the image's, both the label and a class map give classes, or a file
        of regions marks nothing; the message names the file.
    """
    size = (height, width)
    if files.class_map is not None and kind == "auto":
        kind = "instances"
    annotation = _read(files.label, kind, size)
    notes = list(annotation.notes)
    masks: tuple[Annotation, ...] = ()
    if files.class_map is not None:
        class_map = _read(files.class_map, "classes", size)
        _require_one_source(annotation, class_map, files)
        annotation, more = with_class_map(annotation, class_map, height, width)
        notes += more
        masks = (class_map,) if class_map.has_void else ()
    regions = None
    if files.regions is not None:
        regions = _read(files.regions, "mask", size)
        if regions.height is None and not regions.nucleus_count and not regions.has_void:
            raise UserError(
                f"{files.regions} marks nothing",
                expected="outlines of what is annotated",
                advice="remove the file if all of the image is annotated",
            )
    return ImageLabels(annotation, masks, regions, tuple(notes))


def with_class_map(
    annotation: Annotation, class_map: Annotation, height: int, width: int
) -> tuple[Annotation, list[str]]:
    """Gives each nucleus the class that most of its pixels have in a class map, the lower number of two.

    Args:
      annotation: nuclei without classes.
      class_map: its numbers are classes; background counts for none.
      height, width: of both, px.

    Returns:
      The nuclei with classes, None where the map shows background only; a sentence on what the map marks beside nuclei.
    """
    votes: np.ndarray = np.zeros((annotation.nucleus_count + 1) * _LEVELS, np.int64)
    same: dict[str | int | None, int] = {each: each for each in class_map.class_numbers}
    for top in range(0, height, _STRIP_PX):
        place = (top, 0, min(_STRIP_PX, height - top), width)
        number = annotation.draw(*place, scale_y=1.0, scale_x=1.0, class_number={}).instance
        mapped = class_map.draw(*place, scale_y=1.0, scale_x=1.0, class_number=same).label
        votes += np.bincount((number.astype(np.int64) * _LEVELS + mapped).ravel(), minlength=len(votes))
    by_class = votes.reshape(-1, _LEVELS)[:, 1:VOID_LABEL]
    winners = np.where(by_class.any(axis=1), 1 + by_class.argmax(axis=1), 0)
    classes = tuple(int(winner) or None for winner in winners[1:])
    outside = int(by_class[0].sum())
    notes = [f"{outside / int(by_class.sum()):.1%} of its class map is outside of nuclei"] if outside else []
    return dataclasses.replace(annotation, classes=classes), notes


def _read(path: pathlib.Path, kind: LabelKind, size: tuple[int, int]) -> Annotation:
    height, width = size
    return read_annotation(path, kind=kind, image_height=height, image_width=width)


def _require_one_source(annotation: Annotation, class_map: Annotation, files: ImageFiles) -> None:
    if class_map.height is None:
        raise UserError(f"{files.class_map} holds outlines", expected="a map of class numbers, PNG or TIFF")
    classed = annotation.nucleus_count - annotation.unclassified_count
    if classed:
        raise UserError(
            f"both {files.label} ({counted(classed, 'nucleus')}) and {files.class_map} give classes",
            expected="a class map beside instance ids only",
            advice="remove one of them",
        )


def _label(
    annotation: Annotation, place: tuple[int, int, int, int], scale_y: float, scale_x: float
) -> np.ndarray:
    return annotation.draw(*place, scale_y=scale_y, scale_x=scale_x, class_number={}).label


def _is_inside(
    regions: Annotation, place: tuple[int, int, int, int], scale_y: float, scale_x: float
) -> np.ndarray:
    label = _label(regions, place, scale_y, scale_x)
    annotated: np.ndarray = label != VOID_LABEL
    if regions.height is None and not regions.nucleus_count:
        # Nothing but QuPath's `Region*` and `Ignore*`.
        return annotated
    inside: np.ndarray = (label > 0) & annotated
    return inside
