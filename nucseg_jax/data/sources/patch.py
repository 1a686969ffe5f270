"""The seam of sources: what each gives to the builder, whatever files it reads."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.data.dataset_info import DatasetInfo


@dataclasses.dataclass(frozen=True)
class Patch:
    """One patch as it is stored; P = the data set's `patch_px`.

    Attributes:
      image: uint8 [P, P, 3], RGB.
      label: uint8 [P, P], 0 = background, 1..C = class (1 for nuclei without classes), `VOID_LABEL` = not annotated.
      instance: uint16 [P, P], 0 = background or void, 1..K without gaps.
      group: position in the data set's `groups`.
      image_name: name of the image file, without folders.
      top, left: in that image, px on the patches' grid.
      division: one of the data set's `divisions`; '' = none.
    """

    image: np.ndarray
    label: np.ndarray
    instance: np.ndarray
    group: int
    image_name: str
    top: int
    left: int
    division: str = ""


@dataclasses.dataclass(frozen=True)
class OpenedSource:
    """A source whose files were found, matched and checked as far as headers go; its pixels are read patch by patch.

    Attributes:
      info: the data set that it gives.
      origin: JSON values; `kind` is the name of the source. Equal origins mean equal patches: names, sizes and times of
        the files, and every setting that patches depend on.
      patch_count: how many patches `patches` gives.
      patches: `patches()` gives them, in a fixed order, with memory for one image; raises UserError, which names the
        file.
      described: sentences on what was understood, for a person, such as '12 images of 1000 x 1000 px at 0.5 microns'.
      notes: `notes()` gives sentences on what only reading the pixels brought up; complete after the last patch.
    """

    info: DatasetInfo
    origin: JsonObject
    patch_count: int
    patches: Callable[[], Iterator[Patch]]
    described: tuple[str, ...] = ()
    notes: Callable[[], tuple[str, ...]] = tuple
