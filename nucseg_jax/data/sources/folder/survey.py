"""A first look at every image and label: headers, sizes, scale, classes and void, before any patch is cut.

Labels are read whole, one image at a time; of the images, only headers.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.labels.annotation import Drawn, LabelKind
from nucseg_jax.data.sources.folder.grid import PatchGrid
from nucseg_jax.data.sources.folder.image_labels import ImageLabels, read_labels
from nucseg_jax.data.sources.folder.layout import ImageFiles
from nucseg_jax.data.sources.folder.scale import image_resolution
from nucseg_jax.images.open_source import open_source, refused
from nucseg_jax.images.reader_warnings import take_warnings
from nucseg_jax.images.resolution import Resolution, model_size


@dataclasses.dataclass(frozen=True, eq=False)
class Surveyed:
    """One image after a look at its header and its labels.

    Attributes:
      files: of the image.
      kind: of raster labels.
      height, width: of the image, px.
      resolution: of the image.
      grid: of its patches.
      class_counts: nuclei by class as the label gives it: a name, a number, or None.
      has_patch: bool [rows, columns] of the grid; False for patches that are void all over.
      has_void: whether a patch has void pixels.
      mask_value: see `Annotation`.
      notes: sentences on this image.
    """

    files: ImageFiles
    kind: LabelKind
    height: int
    width: int
    resolution: Resolution
    grid: PatchGrid
    class_counts: Mapping[str | int | None, int]
    has_patch: np.ndarray
    has_void: bool
    mask_value: int | None
    notes: tuple[str, ...]

    @property
    def patch_count(self) -> int:
        """Number of patches that are not void all over."""
        return int(self.has_patch.sum())

    def draw(self, labels: ImageLabels, top: int, *, class_number: Mapping[str | int | None, int]) -> Drawn:
        """Draws the rows of labels that a row of patches takes, over the width of the image.

        Args:
          labels: of this image.
          top: first row of a row of patches.
          class_number: as `Annotation.draw` takes it.
        """
        return labels.draw(
            top,
            0,
            min(self.grid.patch_px, self.grid.height - top),
            self.grid.width,
            scale_y=self.grid.height / self.height,
            scale_x=self.grid.width / self.width,
            class_number=class_number,
        )

    def read_labels(self) -> ImageLabels:
        """Reads the labels again."""
        return read_labels(self.files, self.kind, height=self.height, width=self.width)


def survey_images(
    images: Sequence[ImageFiles],
    settings: DataConfig,
    *,
    kind: LabelKind,
    stated: Resolution | None,
    is_published: bool = False,
) -> list[Surveyed]:
    """Looks at every image and its labels.

    Args:
      images: of the data set.
      settings: patch size, scale, and what becomes of the edge.
      kind: of raster labels.
      stated: resolution of all images, as the data set states it; None = it does not.
      is_published: `stated` is true whatever single files state.

    Raises:
      UserError: the first file that cannot be used, and why.
    """
    surveyed = [
        _survey(files, settings, kind=kind, stated=stated, is_published=is_published) for files in images
    ]
    _require_one_mask_value(surveyed)
    return surveyed


def _require_one_mask_value(surveyed: Sequence[Surveyed]) -> None:
    """Raises UserError if masks that nobody declared differ in their value: it could be a class, or an id."""
    first: dict[int, Surveyed] = {}
    for image in surveyed:
        if image.mask_value is not None:
            first.setdefault(image.mask_value, image)
    if len(first) > 1:
        (value, one), (other_value, other), *_ = first.items()
        raise UserError(
            f"the only value beside 0 is {value} in {one.files.label} and {other_value} in {other.files.label}: they"
            " could be masks, ids of nuclei or classes",
            expected="a statement of what they are",
            advice="set `labels: mask`, `labels: instances` or `labels: classes` in dataset.yaml",
        )


def _survey(
    files: ImageFiles,
    settings: DataConfig,
    *,
    kind: LabelKind,
    stated: Resolution | None,
    is_published: bool,
) -> Surveyed:
    source = open_source(files.image)
    try:
        with refused(files.image):
            notes = [*source.notes(), *take_warnings(files.image)]
    finally:
        source.close()
    if source.is_turned:
        raise UserError(
            f"{files.image} is to be turned (EXIF orientation), which some programs do and others do not: which way up"
            " its labels were drawn is not known",
            expected="an upright image",
            advice="save it as PNG the way up that its labels have",
        )
    height, width = source.height, source.width
    labels = read_labels(files, kind, height=height, width=width)
    resolution = image_resolution(
        source,
        stated=stated,
        is_published=is_published,
        setting=settings.image_microns_per_px,
        label=labels.annotation.microns_per_px,
        name=str(files.image),
    )
    size = model_size(height, width, resolution.microns_per_px, model_microns_per_px=settings.microns_per_px)
    grid = PatchGrid(*size, settings.patch_px, settings.remainder)
    if not grid.tops or not grid.lefts:
        raise UserError(
            f"{files.image} has {size[0]} x {size[1]} px at {settings.microns_per_px:g} microns, less than a patch of"
            f" {settings.patch_px} px, and data.remainder is drop",
            expected="images of a patch at least",
            advice="set --config.data.remainder=reflect, choose smaller patches, or remove the image",
        )
    surveyed = Surveyed(
        files=files,
        kind=kind,
        height=height,
        width=width,
        resolution=resolution,
        grid=grid,
        class_counts=Counter(labels.annotation.classes),
        has_patch=np.ones((len(grid.tops), len(grid.lefts)), bool),
        has_void=not grid.is_exact and grid.remainder == "reflect",
        mask_value=labels.annotation.mask_value,
        notes=(*notes, *labels.notes),
    )
    return _with_void(surveyed, labels) if labels.may_be_void else surveyed


def _with_void(surveyed: Surveyed, labels: ImageLabels) -> Surveyed:
    """Looks where the label is void."""
    grid, side = surveyed.grid, surveyed.grid.patch_px
    has_patch, has_void = surveyed.has_patch.copy(), surveyed.has_void
    for row, top in enumerate(grid.tops):
        is_void = surveyed.draw(labels, top, class_number={}).label == VOID_LABEL
        for column, left in enumerate(grid.lefts):
            patch = is_void[:, left : left + side]
            has_patch[row, column] = not patch.all()
            has_void |= bool(has_patch[row, column] and patch.any())
    return dataclasses.replace(surveyed, has_patch=has_patch, has_void=has_void)
