"""A lab's own folder of images and labels as a data set."""

import pathlib

from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.folder import groups_table, layout
from nucseg_jax.data.sources.folder.class_names import class_table
from nucseg_jax.data.sources.folder.description import read_description
from nucseg_jax.data.sources.folder.layout import find_files
from nucseg_jax.data.sources.folder.opening import About, open_surveyed
from nucseg_jax.data.sources.folder.survey import survey_images
from nucseg_jax.data.sources.patch import OpenedSource
from nucseg_jax.images.resolution import Resolution


def open_folder(settings: DataConfig) -> OpenedSource:
    """Opens a folder that holds images/ and labels/, and may hold classes/, regions/, dataset.yaml and groups.csv.

    All headers and labels are read and matched before this returns; docs/own_images.md has the layout.

    Raises:
      UserError: a file is missing, superfluous or not understood, sizes or resolutions contradict each other, a class
        is not declared, or an image is in two groups; the message names the file.
    """
    folder = require_folder(settings.release_folder)
    description = read_description(folder)
    images, notes = find_files(folder)
    grouping = groups_table.read_grouping(folder, images, description.groups)
    stated = None
    if description.microns_per_px is not None:
        stated = Resolution(description.microns_per_px, layout.DESCRIPTION)
    surveyed = survey_images(images, settings, kind=description.labels, stated=stated)
    classes = class_table(surveyed, description.classes, description.unclassified)
    texts = [folder / name for name in (layout.DESCRIPTION, layout.GROUPS)]
    return open_surveyed(
        folder,
        surveyed,
        settings,
        about=About(
            kind="folder",
            name=description.name or folder.resolve().name,
            licence=description.licence,
            citation=description.citation,
            notes=notes,
        ),
        classes=classes,
        grouping=grouping,
        more_files=[path for path in texts if path.exists()],
    )


def require_folder(folder: pathlib.Path | None) -> pathlib.Path:
    """Returns the folder of the images.

    Raises:
      UserError: it is not given, or there is none.
    """
    if folder is None:
        raise UserError("data.release_dir is empty", expected="the folder that holds the images and labels")
    if not folder.is_dir():
        raise UserError(
            f"data.release_dir is {folder}, which is no folder", expected="the folder of images and labels"
        )
    return folder
