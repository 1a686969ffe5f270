"""CoNSeP as it is published: 41 tiles of 1000 px at 40x, colorectal adenocarcinoma (Graham et al., 2019).

Train/Images/train_K.png, Train/Labels/train_K.mat, Test/Images/test_K.png, Test/Labels/test_K.mat. The slide of a tile
is not published.
"""

import pathlib
from collections import Counter
from collections.abc import Sequence

from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import PALETTE, NucleusClass
from nucseg_jax.data.sources.folder.class_names import ClassTable, GivenClass, class_table
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
from nucseg_jax.data.sources.folder.survey import Surveyed, survey_images
from nucseg_jax.data.sources.patch import OpenedSource
from nucseg_jax.images.resolution import Resolution

CLASSES = tuple(
    NucleusClass(name, color)
    for name, color in zip(
        ("miscellaneous", "inflammatory", "epithelial", "spindle-shaped"),
        ((240, 228, 66), (30, 160, 230), (200, 0, 0), PALETTE[3]),
        strict=True,
    )
)
# Published types: 1 other, 2 inflammatory, 3 healthy epithelial, 4 dysplastic or malignant epithelial, 5 fibroblast,
# 6 muscle, 7 endothelial. The paper, and all who compare with it, score 3 and 4 as one class, and 5, 6 and 7 as one.
_MERGED = {1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 4, 7: 4}
_RESOLUTION = Resolution(0.25, "as published: 40x")
_HALVES = {"train": "Train", "test": "Test"}
_ROOT = "CoNSeP"
_LICENCE = "for research, not commercial use"
_CITATION = (
    "Graham, S. et al. (2019). HoVer-Net: Simultaneous segmentation and classification of nuclei in multi-tissue"
    " histology images. Medical Image Analysis 58, 101563. arXiv:1812.06499"
)


def open_consep(settings: DataConfig) -> OpenedSource:
    """Opens the folder that holds CoNSeP's Train/ and Test/, or one of them; each tile is a group.

    Files with any of the types 5 to 7 are the published ones with seven classes, which are merged to four; files
    without are taken as merged before. Halves that differ in this are refused.

    Raises:
      UserError: no such folder, a tile without a label, or a file that is not understood; the message names the file.
    """
    folder = require_folder(settings.release_folder)
    root = folder / _ROOT if (folder / _ROOT).is_dir() else folder
    halves = {division: _tiles(root / name) for division, name in _HALVES.items() if (root / name).is_dir()}
    if not halves:
        raise UserError(
            f"{folder} holds neither Train/ nor Test/",
            expected="Train/Images, Train/Labels, Test/Images, Test/Labels",
        )
    division = {files.name: name for name, tiles in halves.items() for files in tiles}
    if len(division) < sum(map(len, halves.values())):
        raise UserError(
            f"{root}: Train/ and Test/ hold images of the same name", expected="the published names"
        )
    surveyed = survey_images(
        [files for tiles in halves.values() for files in tiles],
        settings,
        kind="instances",
        stated=_RESOLUTION,
        is_published=True,
    )
    notes = [
        f"{_HALVES[name]}/ is not there: {' and '.join(_HALVES[each] + '/' for each in halves)} alone"
        for name in _HALVES
        if name not in halves
    ]
    return open_surveyed(
        folder,
        surveyed,
        settings,
        about=About("consep", "CoNSeP", _LICENCE, _CITATION, tuple(notes)),
        classes=_classes(surveyed, division),
        grouping=Grouping(
            {name: str(image_stem(pathlib.Path(name))) for name in division},
            division,
            ("each tile is a group: which slide it is of is not published",),
        ),
    )


def _tiles(half: pathlib.Path) -> list[ImageFiles]:
    images = [path for path in visible_entries(half / "Images") if image_stem(path) is not None]
    labels = [path for path in visible_entries(half / "Labels") if label_stem(path) is not None]
    if not images:
        raise UserError(f"{half / 'Images'} holds no image", expected="the published PNGs")
    return pair_files(images, labels, half)


def _classes(surveyed: Sequence[Surveyed], division: dict[str, str]) -> ClassTable:
    highest: dict[str, int] = {}
    for image in surveyed:
        half = division[image.files.name]
        for given in image.class_counts:
            if not isinstance(given, int) or not 1 <= given <= max(_MERGED):
                raise UserError(
                    f"{image.files.label}: {counted(image.class_counts[given], 'nucleus')} of the class {given}",
                    expected=f"inst_type with the types 1 to {max(_MERGED)}",
                )
            highest[half] = max(highest.get(half, 0), given)
    is_published = {half: given > len(CLASSES) for half, given in highest.items()}
    if len(set(is_published.values())) > 1:
        told = " and ".join(f"{given} in {_HALVES[half]}/" for half, given in highest.items())
        raise UserError(
            f"the highest type is {told}: one half has the seven published classes, the other four merged ones",
            expected="the same classes in both",
        )
    if any(is_published.values()):
        return _merged(surveyed)
    table = class_table(surveyed, CLASSES, "", declared_in="inst_type")
    note = (
        "no nucleus has a type above 4: the types are read as merged before, 3 epithelial and 4 spindle-shaped; in the"
        " published files, 4 is malignant epithelium, and 5 to 7 occur"
    )
    return ClassTable(table.classes, table.number, (*table.described, note))


def _merged(surveyed: Sequence[Surveyed]) -> ClassTable:
    number: dict[GivenClass, int] = dict(_MERGED.items())
    counts: Counter[int] = Counter()
    for image in surveyed:
        for given, count in image.class_counts.items():
            counts[number[given]] += count
    told = ", ".join(
        f"{index} {each.name} ({counted(counts[index], 'nucleus')})" for index, each in enumerate(CLASSES, 1)
    )
    note = f"the seven published types are merged to 4 classes, 3 and 4 to one and 5 to 7 to one: {told}"
    return ClassTable(CLASSES, number, (note,))
