"""MoNuSeg as it is published: H&E of 1000 px at 40x, several organs, nuclei without classes (Kumar et al., 2017, 2020).

The training set is 'Tissue Images/ID.tif' and 'Annotations/ID.xml', below a folder of its own as the archive has it or
not; the test set is ID.tif and ID.xml side by side in 'MoNuSegTestData'.
"""

import pathlib
from collections import Counter

from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.folder.class_names import ClassTable
from nucseg_jax.data.sources.folder.groups_table import Grouping
from nucseg_jax.data.sources.folder.layout import (
    ImageFiles,
    image_stem,
    label_stem,
    pair_files,
    visible_entries,
)
from nucseg_jax.data.sources.folder.opening import About, open_surveyed
from nucseg_jax.data.sources.folder.source import require_folder
from nucseg_jax.data.sources.folder.survey import survey_images
from nucseg_jax.data.sources.patch import OpenedSource
from nucseg_jax.images.resolution import Resolution

_IMAGES, _LABELS = "tissue images", "annotations"
_TEST = "test"
# That of 40x; single annotations state what the scanner of their slide had, by which nobody resamples.
_RESOLUTION = Resolution(0.25, "as published: 40x")
# Of an ID, such as TCGA-B0-5698-01Z-00-DX1: the project, the site and the patient.
_PATIENT_CHARACTERS = 12
_LICENCE = "CC BY-NC-SA 4.0"
_CITATION = (
    "Kumar, N. et al. (2017). A dataset and a technique for generalized nuclear segmentation for computational"
    " pathology. IEEE Transactions on Medical Imaging 36(7), 1550-1560. Kumar, N. et al. (2020). A multi-organ nucleus"
    " segmentation challenge. IEEE Transactions on Medical Imaging 39(5), 1380-1391"
)


def open_monuseg(settings: DataConfig) -> OpenedSource:
    """Opens the folder that holds MoNuSeg's training set, its test set, or both; a patient is a group.

    Raises:
      UserError: neither is found, an image has no annotations, or a file is not understood; the message names the file.
    """
    folder = require_folder(settings.release_folder)
    parts = _find_parts(folder)
    if not parts:
        raise UserError(
            f"{folder} holds no MoNuSeg",
            expected="'Tissue Images/ID.tif' and 'Annotations/ID.xml' in it or in a folder of it, or MoNuSegTestData",
        )
    images: dict[str, ImageFiles] = {}
    division: dict[str, str] = {}
    for place, part, files in parts:
        for each in files:
            if each.name in images:
                raise UserError(
                    f"{images[each.name].image} and {each.image} have the same name", expected="each once"
                )
            images[each.name], division[each.name] = each, part
        if not files:
            raise UserError(f"{place} holds no image", expected="the published TIFFs")
    surveyed = survey_images(
        list(images.values()), settings, kind="instances", stated=_RESOLUTION, is_published=True
    )
    groups = {name: name[:_PATIENT_CHARACTERS] for name in images}
    described = [
        f"{counted(count, 'image')} of the {'test' if part == _TEST else 'training'} set"
        for part, count in Counter(division.values()).items()
    ]
    return open_surveyed(
        folder,
        surveyed,
        settings,
        about=About("monuseg", "MoNuSeg", _LICENCE, _CITATION),
        classes=ClassTable((), {}, ("nuclei without classes",)),
        grouping=Grouping(
            groups,
            division,
            (*described, f"{counted(len(set(groups.values())), 'patient')}, each a group"),
        ),
    )


def _find_parts(folder: pathlib.Path) -> list[tuple[pathlib.Path, str, list[ImageFiles]]]:
    """Parts of the data set in a folder or in the folders of it: place, division, files; training first."""
    below = [path for path in visible_entries(folder) if path.is_dir()]
    parts = []
    for place in (folder, *below):
        division = _TEST if place != folder and _TEST in place.name.lower() else "train"
        by_name = {path.name.lower(): path for path in visible_entries(place) if path.is_dir()}
        if _IMAGES in by_name and _LABELS in by_name:
            files = _paired(place, visible_entries(by_name[_IMAGES]), visible_entries(by_name[_LABELS]))
            parts.append((place, division, files))
        elif division == _TEST:
            parts.append((place, division, _paired(place, *(2 * [visible_entries(place)]))))
    return sorted(parts, key=lambda part: part[1] == _TEST)


def _paired(place: pathlib.Path, images: list[pathlib.Path], labels: list[pathlib.Path]) -> list[ImageFiles]:
    return pair_files(
        [
            path
            for path in images
            if path.name.lower().endswith((".tif", ".tiff", ".png")) and image_stem(path)
        ],
        [path for path in labels if path.name.lower().endswith(".xml") and label_stem(path)],
        place,
    )
