"""The counts of a split as a CSV file, one line an image: what every score can be computed from again.

    index,fold,row,tissue,nucleus_tp,nucleus_fp,nucleus_fn,nucleus_tn,nucleus_dice,nucleus_iou,dice_loss
    0,3,0,Breast,9120,1033,1377,54006,0.883323,0.791048,0.11719

The fourth column is the data set's word for a group ('tissue' in PanNuke, 'group' elsewhere). Where the data set knows
which image a patch was cut from, `image`, `top` and `left` (px on the patches' grid) follow it. With several classes
their columns follow those of `nucleus`: `neoplastic_tp` and so on; with several losses theirs follow, each called
`..._loss`. An undefined ratio (0/0) and a loss that is not finite are empty cells.
"""

import csv
import pathlib

import numpy as np

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import atomic_write
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.patch_columns import patch_columns
from nucseg_jax.evaluation.scores import ratios

CELLS = ("tp", "fp", "fn", "tn")
RATIOS = ("dice", "iou")


def per_image_path(run: pathlib.Path, split: str) -> pathlib.Path:
    """Returns the path of a split's counts in a run folder."""
    return run / f"per_image_{split}.csv"


def write_per_image(
    path: pathlib.Path, counts: Counts, patches: np.ndarray, *, info: DatasetInfo, index: PatchIndex
) -> None:
    """Writes the file in one step, images in the order of the split.

    Args:
      path: the file; its folder exists.
      counts: of the split or of part of it.
      patches: integer [P, 2], (fold, row in the fold) of the whole split; `counts.index` points into it.
      info: of the data set.
      index: of the data set; places are written if it has any.
    """
    names = info.counted_names(counts.counts.shape[1])
    columns = patch_columns(counts.index, counts.group, patches, info=info, index=index)
    for number, name in enumerate(names):
        of_class = counts.counts[:, number]
        for cell, values in zip(CELLS, of_class.T, strict=True):
            columns[f"{name}_{cell}"] = values.tolist()
        values_of = ratios(of_class)
        for ratio in RATIOS:
            columns[f"{name}_{ratio}"] = ["" if np.isnan(x) else f"{x:.6f}" for x in values_of[ratio]]
    # str of a float32 is the shortest text that reads back as the same float32.
    for loss, values in counts.losses.items():
        columns[loss] = [str(x) if np.isfinite(x) else "" for x in values]
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def read_per_image(path: pathlib.Path, info: DatasetInfo) -> tuple[Counts, np.ndarray]:
    """Reads a file of `write_per_image`, with or without places.

    Args:
      path: the file.
      info: of the data set that it was written for.

    Returns:
      The counts, and the images' patches, int32 [N, 2] of (fold, row in the fold).

    Raises:
      UserError: the file is missing, is not such a file, or has other classes or groups than the data set.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            lines = list(reader)
            header = reader.fieldnames or []
    except FileNotFoundError:
        raise _bad_file(f"{path} does not exist") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise _bad_file(f"{path} is not a table of per-image counts ({error})") from None
    found_names = tuple(
        column.removesuffix("_tp") for column in header if column.endswith("_tp") and column != "_tp"
    )
    try:
        names = info.counted_names(len(found_names))
        if found_names != names:
            raise ValueError(f"its classes are {', '.join(found_names)}, not {', '.join(names)}")
        counts = [[[int(line[f"{name}_{cell}"]) for cell in CELLS] for name in names] for line in lines]
        patches = [[int(line["fold"]), int(line["row"])] for line in lines]
        cells = np.array(counts, np.int32).reshape(-1, len(names), len(CELLS))
        if (cells < 0).any():
            raise ValueError("counts below 0")
        number_of = {name: number for number, name in enumerate(info.groups)}
        read = Counts.from_batch(
            counts=cells,
            index=np.array([int(line["index"]) for line in lines], np.int32),
            group=np.array([number_of[line[info.group_noun]] for line in lines], np.int32),
            losses={
                name: np.array([line[name] or "nan" for line in lines], np.float32)
                for name in header
                if name.endswith("_loss")
            },
            valid=np.ones(len(lines), bool),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _bad_file(f"{path} is not a table of per-image counts ({reason_of(error)})") from None
    order = np.argsort([int(line["index"]) for line in lines])
    return read, np.array(patches, np.int32).reshape(-1, 2)[order]


def _bad_file(found: str) -> UserError:
    return UserError(
        found,
        expected="a per_image_{split}.csv as `launch.py evaluate` writes it",
        advice=f"write it again: {PROGRAM} evaluate --config=CONFIG --workdir=RUN --split=SPLIT",
    )
