"""The data sets that `robustness --data` names: a folder of prepared data, or a config."""

import dataclasses
import pathlib

import numpy as np

from nucseg_jax.cli.given_config import load_config
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean, find_python_file
from nucseg_jax.core.nearest import names_in as configs_in
from nucseg_jax.core.paths import configs_folder, user_path
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.prepared import DataPlan, plan_data
from nucseg_jax.data.splits import Splits
from nucseg_jax.data.store.location import names_in as data_sets_in
from nucseg_jax.experiment import Experiment


def other_plan(other: str, experiment: Experiment, split: str) -> tuple[DataPlan, str]:
    """Returns the plan of another data set, and the name of its side that is scored.

    Args:
      other: a folder that `prepare` wrote, of which all patches are scored; or a config, by its name or file.
      experiment: of the run.
      split: side of a config's data set that is scored.

    Raises:
      UserError: it is neither, or the data set cannot be used.
    """
    folder = user_path(other)
    if folder.is_dir():
        if not data_sets_in(folder):
            raise _no_data(other, f"the folder {folder} holds no prepared data", _prepared_beside(folder))
        plan = plan_data(
            folder,
            _all_patches,
            num_classes=experiment.config.model.num_classes,
            used=["test"],
            allow_duplicates=True,
            with_instances=experiment.scores_instances,
        )
        return plan, "test"
    _require_config(other)
    given = load_config(other, ()).experiment()
    return with_data_of(experiment, given).plan([split]), split


def with_data_of(experiment: Experiment, other: Experiment) -> Experiment:
    """Returns an experiment on the data set and splits of another."""
    config = dataclasses.replace(experiment.config, data=other.config.data, split=other.config.split)
    return dataclasses.replace(experiment, config=config)


def _require_config(other: str) -> None:
    name = other.partition(":")[0]
    try:
        file = find_python_file(name, kind="config", examples=configs_folder())
    except UserError:
        if not name or user_path(name).exists():
            raise _no_data(other, "it is neither a folder nor a config") from None
        nearest = [*configs_in(configs_folder()), *_prepared_beside(user_path(name))]
        raise _no_data(other, "there is no such folder, and no such config", nearest) from None
    if file.suffix not in (".py", ".json"):
        raise _no_data(other, f"{file} is a file, and no config: Python, or the config.json of a run")


def _prepared_beside(folder: pathlib.Path) -> list[str]:
    """Returns the folders of prepared data below a folder and beside it."""
    try:
        near = [*folder.glob("*"), *folder.parent.glob("*")]
        return [str(path) for path in sorted(near) if path.is_dir() and data_sets_in(path)]
    except OSError:
        return []


def _no_data(other: str, found: str, nearest: list[str] | None = None) -> UserError:
    return UserError(
        f"--data={other} names no data: {found}{did_you_mean(other, nearest or [])}",
        expected="a folder that `prepare` wrote (the data.dir of its config, such as data_dir/other), or a config, by"
        " its name or file",
        advice=f"correct --data, or prepare the data first: `{PROGRAM} prepare --config=...`",
    )


def _all_patches(index: PatchIndex, info: DatasetInfo) -> Splits:
    """Every patch of a data set on the test side."""
    del info
    none = np.zeros((0, 2), np.int32)
    return Splits(none, none, np.stack([index.fold, index.row], axis=1).astype(np.int32))
