"""The nuclei that were annotated in one image, drawn at any scale and in any window.

Notation: y down, x to the right, in px of the annotated image; coordinates are px edges, so that pixel (0, 0) is the
square from 0,0 to 1,1 and its centre 0.5,0.5. Nuclei are numbered 1..K.

A grid of patches of `scale` px for each px of the image has the centre of its pixel (i, j) at
((i + 0.5) / scale_y, (j + 0.5) / scale_x). With scale 0.5, the centres of its first row lie at y = 1.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL

# The label of nuclei of a data set without classes.
_ANY_NUCLEUS = 1


class Drawn(NamedTuple):
    """A window of an annotation.

    Attributes:
      instance: int32 [h, w]: 0 = no nucleus or not annotated, else the number of the nucleus in its annotation.
      label: uint8 [h, w]: 0 = background, 1..C = class (1 for nuclei without classes), `VOID_LABEL` = not annotated.
    """

    instance: np.ndarray
    label: np.ndarray


class Shapes(Protocol):
    """Nuclei that can be looked up by coordinates."""

    def numbers_at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Returns int32 [h, w]: the number of the nucleus at each crossing of float64 y [h] and x [w], 0 = none."""

    def is_void_at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray | None:
        """Returns bool [h, w]: True where nobody annotated; None = everything is annotated."""


@dataclasses.dataclass(frozen=True, eq=False)
class Annotation:
    """The nuclei of one image, as `annotation.read_annotation` reads them.

    Attributes:
      shapes: where they are.
      classes: of each nucleus, in the order of numbers: a name (outlines), a number (rasters), None = not stated.
      height, width: px of the label file where it is a raster; None for outlines, which have no size.
      has_void: there are regions that nobody annotated.
      microns_per_px: of the image, as the label file states it; None = it does not.
      mask_value: of a raster without a stated kind and with several nuclei, read as a mask: the value that stands for
        them; None elsewhere.
      notes: sentences that a person should read, such as '37 nuclei are not in one piece'.
      ids: [K], the id of each nucleus in a raster of ids, rising; None elsewhere.
    """

    shapes: Shapes
    classes: tuple[str | int | None, ...]
    height: int | None = None
    width: int | None = None
    has_void: bool = False
    microns_per_px: float | None = None
    mask_value: int | None = None
    notes: tuple[str, ...] = ()
    ids: np.ndarray | None = None

    @property
    def nucleus_count(self) -> int:
        """The count of nuclei; numbers go from 1 to this."""
        return len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of classes that occur, in order of first use."""
        return tuple(dict.fromkeys(each for each in self.classes if isinstance(each, str)))

    @property
    def class_numbers(self) -> tuple[int, ...]:
        """Numbers of classes that occur, sorted."""
        return tuple(sorted({each for each in self.classes if isinstance(each, int)}))

    @property
    def unclassified_count(self) -> int:
        """The count of nuclei without a class; all of them in an annotation without classes."""
        return self.classes.count(None)

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
        """Draws a window of the grid of patches.

        A pixel belongs to the nucleus that holds its centre; a centre on the edge between two pixels or outlines
        belongs to the one on its right or below. Where two outlines hold it, the later one in the file wins. What lies
        outside the annotated image is background. Call it from one thread only: outlines are prepared at
        their first use.

        Args:
          top, left, height, width: of the window, px on the grid of patches.
          scale_y, scale_x: px of that grid for each px of the annotated image.
          class_number: label of each class that occurs, 1..C; 0 leaves its nuclei out, `VOID_LABEL` makes them void.
            The key None stands for nuclei without a class. Empty = all nuclei get the label 1.

        Raises:
          UserError: a class has no label.
        """
        labels = self._labels(class_number)
        y = (np.arange(top, top + height) + 0.5) / scale_y
        x = (np.arange(left, left + width) + 0.5) / scale_x
        instance = self.shapes.numbers_at(y, x)
        label = labels[instance]
        is_void = self.shapes.is_void_at(y, x)
        if is_void is not None:
            label[is_void] = VOID_LABEL
        instance[(label == 0) | (label == VOID_LABEL)] = 0
        return Drawn(instance, label)

    def _labels(self, class_number: Mapping[str | int | None, int]) -> np.ndarray:
        """uint8 [K + 1]: label by number."""
        if not class_number:
            return np.array([0] + [_ANY_NUCLEUS] * self.nucleus_count, np.uint8)
        for each in dict.fromkeys(self.classes):
            if each not in class_number:
                nuclei = counted(self.classes.count(each), "nucleus")
                raise UserError(
                    f"{nuclei} without a class" if each is None else f"{nuclei} of the class {each!r}",
                    expected="one of the classes " + ", ".join(str(key) for key in class_number),
                )
        return np.array([0, *(class_number[each] for each in self.classes)], np.uint8)
