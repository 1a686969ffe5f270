"""Where a prepared data set lies below its data folder, as TensorFlow Datasets lays it out."""

import pathlib

from nucseg_jax.core.errors import UserError

NAME = "pannuke"
VERSION = "1.0.0"


def dataset_folder(data_dir: pathlib.Path) -> pathlib.Path:
    """The folder of the records, whether it is there or not.

    >>> dataset_folder(pathlib.Path("data")).as_posix()
    'data/pannuke/1.0.0'
    """
    return data_dir / NAME / VERSION


def prepared_folder(data_dir: pathlib.Path) -> pathlib.Path:
    """The folder of the records.

    Raises:
      UserError: nothing was prepared there.
    """
    folder = dataset_folder(data_dir)
    if not folder.is_dir():
        raise UserError(
            f"No data set was prepared in {data_dir}: {folder.absolute()} is not there.",
            expected="a data set that `prepare` wrote",
            advice="run `python launch.py prepare --config=...` with the same config, or correct data.dir",
        )
    return folder
