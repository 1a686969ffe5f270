"""Location of a prepared data set below its data folder, as TensorFlow Datasets lays it out."""

import pathlib

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.program import PROGRAM

PANNUKE = "pannuke"
NUCLEI = "nuclei"
NAMES = (PANNUKE, NUCLEI)
VERSION = "1.0.0"


def dataset_folder(data_dir: pathlib.Path, name: str = PANNUKE) -> pathlib.Path:
    """Returns the folder of a builder's records, whether it is there or not.

    >>> dataset_folder(pathlib.Path("data")).as_posix()
    'data/pannuke/1.0.0'
    """
    return data_dir / name / VERSION


def names_in(data_dir: pathlib.Path) -> list[str]:
    """Returns the builders that have a data set in a data folder."""
    return [name for name in NAMES if dataset_folder(data_dir, name).is_dir()]


def prepared_name(data_dir: pathlib.Path) -> str:
    """Returns the builder of the data set in a data folder.

    Raises:
      UserError: nothing was prepared there, or two data sets were.
    """
    names = names_in(data_dir)
    if not names:
        folders = " or ".join(str(dataset_folder(data_dir, name).absolute()) for name in NAMES)
        raise UserError(
            f"No data set was prepared in {data_dir}: {folders} is not there.",
            expected="a data set that `prepare` wrote",
            advice=f"run `{PROGRAM} prepare --config=...` with the same config, or correct data.dir",
        )
    if len(names) > 1:
        raise UserError(
            f"{data_dir} holds two data sets: {' and '.join(names)}.",
            expected="one data set in a data folder",
            advice="move one of the two folders to another data folder, and name it as data.dir",
        )
    return names[0]
