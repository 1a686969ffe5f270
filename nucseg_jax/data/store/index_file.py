"""The index of a data set's patches as `patches.csv` beside its records; groups stand there by their names."""

import csv
import io
import pathlib

import numpy as np

from nucseg_jax.core import files
from nucseg_jax.core.errors import reason_of
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.store.stored_files import damaged

FILE_NAME = "patches.csv"
_COLUMNS = ("fold", "row", "group", "image", "top", "left", "division")


def write_index(folder: pathlib.Path, index: PatchIndex, info: DatasetInfo) -> None:
    """Writes `patches.csv` into a folder.

    Args:
      folder: the data set's folder.
      index: with the group of every patch.
      info: whose groups they are.
    """
    assert index.group is not None  # Only data sets of earlier versions lack them, and they are not written.
    text = io.StringIO()
    groups = [info.groups[group] for group in index.group.tolist()]
    # The writer of Python 3.11 leaves a carriage return unquoted, and its reader ends the line there.
    has_returns = any("\r" in name for name in {*groups, *index.image, *index.division})
    table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if has_returns else csv.QUOTE_MINIMAL)
    table.writerow(_COLUMNS)
    table.writerows(
        zip(
            *(index.fold.tolist(), index.row.tolist(), groups, index.image),
            *(index.top.tolist(), index.left.tolist(), index.division),
            strict=True,
        )
    )
    files.write_text(folder / FILE_NAME, text.getvalue())


def read_index(folder: pathlib.Path, info: DatasetInfo) -> PatchIndex:
    """Reads the `patches.csv` of a folder.

    Raises:
      UserError: it is missing or damaged.
    """
    position = {name: number for number, name in enumerate(info.groups)}
    try:
        text = files.read_file(folder / FILE_NAME).decode()
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        if tuple(header) != _COLUMNS:
            raise ValueError(f"its columns are {', '.join(header)}")
        fold, row, group, image, top, left, division = zip(*rows, strict=True)
        return PatchIndex(
            fold=np.array(fold, np.int32),
            row=np.array(row, np.int32),
            group=np.array([position[name] for name in group], np.int32),
            image=image,
            top=np.array(top, np.int32),
            left=np.array(left, np.int32),
            division=division,
        )
    except (OSError, ValueError, KeyError, OverflowError, csv.Error) as error:
        raise damaged(folder, f"{FILE_NAME} cannot be read ({reason_of(error)})") from error
