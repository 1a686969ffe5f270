"""Makes an `OpenedSource` of surveyed images: description, origin and patches; every source ends here."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.sources.folder.class_names import ClassTable
from nucseg_jax.data.sources.folder.cut import patches_of
from nucseg_jax.data.sources.folder.described import (
    about_images,
    about_labels,
    about_patches,
    about_single_images,
)
from nucseg_jax.data.sources.folder.groups_table import Grouping
from nucseg_jax.data.sources.folder.layout import ImageFiles
from nucseg_jax.data.sources.folder.survey import Surveyed
from nucseg_jax.data.sources.patch import OpenedSource, Patch
from nucseg_jax.images import open_source
from nucseg_jax.images.source import RefusedImage


@dataclasses.dataclass(frozen=True)
class About:
    """Texts that describe a data set to people.

    Attributes:
      kind: name of the source.
      name: of the data set.
      licence, citation: '' = unknown.
      notes: sentences to begin with.
    """

    kind: str
    name: str
    licence: str = ""
    citation: str = ""
    notes: tuple[str, ...] = ()


def open_surveyed(
    folder: pathlib.Path,
    surveyed: Sequence[Surveyed],
    settings: DataConfig,
    *,
    about: About,
    classes: ClassTable,
    grouping: Grouping,
    more_files: Sequence[pathlib.Path] = (),
) -> OpenedSource:
    """Opens surveyed images.

    Args:
      folder: holds all files.
      surveyed: the images, in the order of their patches.
      settings: that they were surveyed with.
      about: the data set.
      classes: of its nuclei.
      grouping: of its images.
      more_files: that patches depend on beside images and labels.

    Raises:
      UserError: no image has a nucleus, or all patches are void.
    """
    patch_count = sum(image.patch_count for image in surveyed)
    if not any(image.class_counts for image in surveyed):
        raise UserError(f"{folder}: no label holds a nucleus", expected="annotated nuclei")
    if not patch_count:
        raise UserError(f"{folder}: every patch is void all over", expected="a part that is annotated")
    groups = sorted(set(grouping.group.values()))
    divisions = list(dict.fromkeys(filter(None, (grouping.division[image.files.name] for image in surveyed))))
    info = DatasetInfo(
        name=about.name,
        classes=classes.classes,
        groups=tuple(groups),
        divisions=tuple(divisions),
        patch_px=settings.patch_px,
        microns_per_px=settings.microns_per_px,
        has_void=any(image.has_void for image in surveyed),
        licence=about.licence,
        citation=about.citation,
    )

    notes: dict[str, None] = {}

    def patches() -> Iterator[Patch]:
        for image in surveyed:
            name = image.files.name
            yield from patches_of(
                image,
                class_number=classes.number,
                group=groups.index(grouping.group[name]),
                division=grouping.division[name],
                note=notes.setdefault,
            )

    return OpenedSource(
        info=info,
        origin=_origin(folder, surveyed, settings, about, more_files),
        patch_count=patch_count,
        patches=patches,
        notes=lambda: tuple(notes),
        described=(
            *about.notes,
            *about_images(surveyed, settings),
            *about_labels(surveyed),
            *classes.described,
            *about_patches(surveyed, settings, patch_count),
            *grouping.described,
            *about_single_images(surveyed),
        ),
    )


def _origin(
    folder: pathlib.Path,
    surveyed: Sequence[Surveyed],
    settings: DataConfig,
    about: About,
    more_files: Sequence[pathlib.Path],
) -> JsonObject:
    files = [*more_files, *(path for image in surveyed for path in _files_of(image.files))]
    return {
        "kind": about.kind,
        "release_dir": str(folder.resolve()),
        "patch_px": settings.patch_px,
        "microns_per_px": settings.microns_per_px,
        "image_microns_per_px": settings.image_microns_per_px,
        "remainder": settings.remainder,
        "files": [
            [str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns] for path in files
        ],
    }


def _files_of(each: ImageFiles) -> list[pathlib.Path]:
    """All files that an image and its labels lie in, those below folders too.

    Raises:
      RefusedImage: one of them is no regular file, and which.
    """
    files = []
    for path in each.paths:
        try:
            files += open_source.files_of(path)
        except UserError as error:
            raise RefusedImage(f"{path}: {error}") from None
    return files
