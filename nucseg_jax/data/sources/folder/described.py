"""Sentences for a person on what was understood of images and labels, printed before anything is made of them."""

import re
from collections import Counter
from collections.abc import Sequence

from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.counted import counted
from nucseg_jax.data.sources.folder.layout import label_ending, listed
from nucseg_jax.data.sources.folder.survey import Surveyed

# Sentences on single images; the rest is counted.
_MOST_NOTES = 20
_NUMBER = re.compile(r"\d[\d,.]*")


def about_images(surveyed: Sequence[Surveyed], settings: DataConfig) -> list[str]:
    """Gives a sentence for each kind of image: size, scale, and what becomes of them."""
    kinds = Counter(
        (image.height, image.width, image.resolution, image.grid.height, image.grid.width)
        for image in surveyed
    )
    lines = []
    for (height, width, resolution, grid_height, grid_width), count in kinds.most_common():
        scaled = "not resampled"
        if (grid_height, grid_width) != (height, width):
            scaled = f"resampled to {grid_height:,} x {grid_width:,} px at {settings.microns_per_px:g}"
        elif resolution.microns_per_px != settings.microns_per_px:
            scaled = f"read as {settings.microns_per_px:g}"
        lines.append(
            f"{counted(count, 'image')} of {height:,} x {width:,} px at {resolution.microns_per_px:g} microns"
            f" ({resolution.found_in}), {scaled}"
        )
    return _first(lines, "size")


def about_labels(surveyed: Sequence[Surveyed]) -> list[str]:
    """Counts nuclei, labels by their endings, class maps, regions and images without a nucleus."""
    endings = Counter(label_ending(image.files.label) for image in surveyed)
    nuclei = sum(sum(image.class_counts.values()) for image in surveyed)
    told = ", ".join(f"{count:,} {ending}" for ending, count in sorted(endings.items()))
    lines = [f"{counted(nuclei, 'nucleus')} in labels ({told})"]
    if class_maps := sum(image.files.class_map is not None for image in surveyed):
        lines.append(counted(class_maps, "class map"))
    if regions := sum(image.files.regions is not None for image in surveyed):
        lines.append(f"{counted(regions, 'file')} of annotated regions")
    empty = [image.files.label.name for image in surveyed if not image.class_counts]
    if empty:
        lines.append(f"without any nucleus, so background all over: {listed(empty)}")
    return lines


def about_patches(surveyed: Sequence[Surveyed], settings: DataConfig, patch_count: int) -> list[str]:
    """Counts patches, and tells what became of edges and of patches that nobody annotated."""
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


def about_single_images(surveyed: Sequence[Surveyed]) -> list[str]:
    """Gives the sentences on single images; of those that differ in numbers only, the first."""
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
