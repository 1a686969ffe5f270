"""A prepared data set whose files are to be damaged."""

import dataclasses
import pathlib

from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.store.location import dataset_folder


def record_file(data_dir: pathlib.Path, fold: int) -> pathlib.Path:
    """The file of a fold's records."""
    (path,) = dataset_folder(data_dir).glob(f"*fold{fold}.array_record*")
    return path


def forget_checksums(data_dir: pathlib.Path) -> None:
    """Makes it one that an earlier version prepared: only the records themselves have checksums."""
    folder = dataset_folder(data_dir)
    audit = audits.load(folder)
    assert set(audit.files) == {record_file(data_dir, fold).name for fold in audit.folds}
    dataclasses.replace(audit, files={}).save(folder)
