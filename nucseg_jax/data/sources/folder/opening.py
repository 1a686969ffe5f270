"""From images that were looked at to an `OpenedSource`: description, origin and patches; every source ends here."""

import dataclasses
import pathlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.sources.folder.class_names import ClassTable
from nucseg_jax.data.sources.folder.cut import patches_of
from nucseg_jax.data.sources.folder.groups_table import Grouping
from nucseg_jax.data.sources.folder.layout import files_of, label_ending, listed
from nucseg_jax.data.sources.folder.survey import CutSettings, Surveyed
from nucseg_jax.data.sources.patch import OpenedSource, Patch

# Sentences on single images; the rest is counted.
_MOST_NOTES = 20
_NUMBER = re.compile(r"\d[\d,.]*")


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
    settings: CutSettings,
    *,
    about: About,
    classes: ClassTable,
    grouping: Grouping,
    more_files: Sequence[pathlib.Path] = (),
) -> OpenedSource:
    """Opens images that were looked at.

    Args:
      folder: holds all files.
      surveyed: the images, in the order of their patches.
      settings: that they were looked at with.
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
            *_about_images(surveyed, settings),
            *_about_labels(surveyed),
            *classes.described,
            *_about_patches(surveyed, settings, patch_count),
            *grouping.described,
            *_about_single_images(surveyed),
        ),
    )


def _origin(
    folder: pathlib.Path,
    surveyed: Sequence[Surveyed],
    settings: CutSettings,
    about: About,
    more_files: Sequence[pathlib.Path],
) -> Mapping[str, Any]:
    files = [*more_files, *(path for image in surveyed for path in files_of(image.files))]
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


def _about_images(surveyed: Sequence[Surveyed], settings: CutSettings) -> list[str]:
    """A sentence for each kind of image: size, scale, and what becomes of them."""
    kinds = Counter(
        (image.height, image.width, image.resolution, image.grid.height, image.grid.width)
        for image in surveyed
    )
    lines = []
    for (height, width, resolution, grid_height, grid_width), count in kinds.most_common():
        scaled = (
            f"resampled to {grid_height:,} x {grid_width:,} px at {settings.microns_per_px:g}"
            if (grid_height, grid_width) != (height, width)
            else f"taken as {settings.microns_per_px:g}"
        )
        lines.append(
            f"{counted(count, 'image')} of {height:,} x {width:,} px at {resolution.microns_per_px:g} microns"
            f" ({resolution.found_in}), {scaled}"
        )
    return _first(lines, "size")


def _about_labels(surveyed: Sequence[Surveyed]) -> list[str]:
    endings = Counter(label_ending(image.files.label) for image in surveyed)
    nuclei = sum(sum(image.class_counts.values()) for image in surveyed)
    told = ", ".join(f"{count:,} {ending}" for ending, count in sorted(endings.items()))
    lines = [f"{counted(nuclei, 'nucleus')} in labels ({told})"]
    for count, what in (
        (sum(image.files.class_map is not None for image in surveyed), "class map"),
        (sum(image.files.regions is not None for image in surveyed), "file"),
    ):
        if count:
            lines.append(f"{counted(count, what)}" + (" of annotated regions" if what == "file" else ""))
    empty = [image.files.label.name for image in surveyed if not image.class_counts]
    if empty:
        lines.append(f"without any nucleus, so background all over: {listed(empty)}")
    return lines


def _about_patches(surveyed: Sequence[Surveyed], settings: CutSettings, patch_count: int) -> list[str]:
    lines = [
        f"{counted(patch_count, 'patch')} of {settings.patch_px} px at {settings.microns_per_px:g} microns"
    ]
    inexact = [image for image in surveyed if not image.grid.is_exact]
    if inexact and settings.remainder == "drop":
        pixels = sum(image.grid.height * image.grid.width for image in inexact)
        dropped = sum(image.grid.dropped_share * image.grid.height * image.grid.width for image in inexact)
        lines.append(
            f"{round(dropped):,} px ({dropped / pixels:.1%}) of {counted(len(inexact), 'image')} at the lower and right"
            " edge fill no patch and are left out"
        )
    elif inexact:
        lines.append(
            f"patches of {counted(len(inexact), 'image')} reach over the lower or right edge: the image is reflected"
            " there, and the label is void"
        )
    all_void = sum(int((~image.has_patch).sum()) for image in surveyed)
    if all_void:
        lines.append(f"{counted(all_void, 'patch')} left out: void all over")
    return lines


def _about_single_images(surveyed: Sequence[Surveyed]) -> list[str]:
    """Sentences on single images; of those that differ in numbers only, the first."""
    alike: dict[str, list[str]] = {}
    for image in surveyed:
        for note in image.notes:
            alike.setdefault(_NUMBER.sub("#", note), []).append(f"{image.files.name}: {note}")
    return _first(
        [
            notes[0] + (f" (and {counted(len(notes) - 1, 'image')} like it)" if len(notes) > 1 else "")
            for notes in alike.values()
        ],
        "note",
    )


def _first(lines: Sequence[str], noun: str) -> list[str]:
    more = len(lines) - _MOST_NOTES
    return [*lines[:_MOST_NOTES], *([f"and {counted(more, noun)} more"] if more > 0 else ())]
