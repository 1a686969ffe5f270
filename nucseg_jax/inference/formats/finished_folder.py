"""The images that a folder of `predict` holds, by its summary.json, each checked to be as it was written."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.seal import unsealed
from nucseg_jax.core.strict_json import read_json
from nucseg_jax.images.source import LARGEST_SIDE_PX
from nucseg_jax.inference.formats.finished_image import FinishedImage
from nucseg_jax.inference.nuclei.any_class import ANY_CLASS
from nucseg_jax.inference.output.journal import altered_outputs
from nucseg_jax.inference.output.output_files import SUMMARY, OutputFiles, output_stem

_RERUN = "rerun predict, which leaves finished images alone"


def finished_images(folder: pathlib.Path) -> list[FinishedImage]:
    """Returns the images of a folder, in the order of its summary; those that could not be read are left out.

    Raises:
      UserError: there is no such folder, `predict` did not end in it, or an image's files are missing or altered.
    """
    require_folder(folder)
    summary = _summary(folder)
    try:
        names = tuple(str(each["name"]) for each in summary["classes"]) or (ANY_CLASS,)
        images = [_image(folder, entry, names) for entry in summary["images"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{folder / SUMMARY} cannot be understood: {reason_of(error)}",
            expected="the file as predict wrote it",
            advice=_RERUN,
        ) from None
    for image, entry in zip(images, summary["images"], strict=True):
        _require_finished(image, entry)
    return images


def require_folder(folder: pathlib.Path) -> None:
    """Checks that a folder is there in which `predict` ended, and reads nothing.

    Raises:
      UserError: there is none.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}", expected="the folder that predict wrote, its --out")
    if not (folder / SUMMARY).exists():
        raise UserError(
            f"{folder} holds no {SUMMARY}, which predict writes when all of its images are finished",
            expected="a folder that predict wrote to its end",
            advice="rerun predict to resume, or see whether this is its --out",
        )


def _summary(folder: pathlib.Path) -> Any:
    path = folder / SUMMARY
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {reason_of(error)}", advice=_RERUN) from None


def _image(folder: pathlib.Path, entry: Mapping[str, Any], class_names: tuple[str, ...]) -> FinishedImage:
    path = pathlib.Path(entry["input"])
    height, width, nuclei = (int(entry[name]) for name in ("height_px", "width_px", "nuclei"))
    microns = float(entry["microns_per_px"])
    if not (0 < height <= LARGEST_SIDE_PX and 0 < width <= LARGEST_SIDE_PX and nuclei >= 0):
        raise ValueError(f"{path} has {height} x {width} px and {nuclei} as its number of nuclei")
    if not (math.isfinite(microns) and microns > 0):
        raise ValueError(f"{path} has {microns} microns per pixel")
    # Of `measure`, whose numbers may have gaps.
    highest = int(entry["highest_nucleus"]) if "highest_nucleus" in entry else None
    if highest is not None and not nuclei <= highest <= np.iinfo(np.uint32).max:
        raise ValueError(f"{path} has {highest} as the highest number of a nucleus")
    return FinishedImage(
        OutputFiles(folder, output_stem(path)), path, height, width, microns, nuclei, class_names, highest
    )


def _require_finished(image: FinishedImage, entry: Mapping[str, Any]) -> None:
    """Compares the files that formats are made from with the journal, where it lies beside them."""
    files = image.files
    needed = [files.geojson, files.parquet, files.probability]
    missing = [path.name for path in needed if not path.exists()]
    if missing:
        raise UserError(
            f"{image.input} is not finished: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'}"
            f" missing in {files.folder}",
            advice=_RERUN,
        )
    if not files.journal.exists():
        # A copy of the folder without its hidden files.
        return
    try:
        journal = unsealed(read_json(files.journal))
        summary, outputs = journal["summary"], dict(journal["outputs"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        summary, outputs = None, {}
    if summary is None or summary != entry:
        raise UserError(
            f"{image.input} is not finished: predict began it again after it had written {SUMMARY}",
            advice="rerun predict to resume",
        )
    altered = altered_outputs(needed, outputs)
    if altered:
        raise UserError(
            f"{image.input} cannot be used: {' and '.join(altered)} changed since predict wrote"
            f" {'it' if len(altered) == 1 else 'them'}",
            advice="rerun predict, which writes them again",
        )
