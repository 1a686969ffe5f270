"""The runs and splits of `robustness`, checked before anything is computed."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nucseg_jax.cli.evaluate import refuse_other_data, refuse_seen_patches
from nucseg_jax.cli.evaluation_folder import evaluation_name
from nucseg_jax.cli.robustness_data import other_plan, with_data_of
from nucseg_jax.cli.robustness_identity import identity_of
from nucseg_jax.cli.seen_patches import first_seen, seen_by_run
from nucseg_jax.core.seal import bytes_digest
from nucseg_jax.data.patch_sizes import check_whole_patches
from nucseg_jax.data.prepared import DataPlan
from nucseg_jax.evaluation.robustness.cell_store import CellStore
from nucseg_jax.evaluation.robustness.cells import CLEAN, Cell
from nucseg_jax.evaluation.robustness.measurement import SCORES
from nucseg_jax.experiment import Experiment, read_experiment_file
from nucseg_jax.run_folder.check import best_checkpoint, require_config
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.record import RunRecord


@dataclasses.dataclass(frozen=True)
class Asked:
    """The wishes of the command line.

    Attributes:
      experiment: names data and split; None = each run's own config.
      split: 'train', 'validation' or 'test'.
      kinds: names of corruptions; none = all.
      others: folders of other prepared data sets, or configs.
      instances: find and score nuclei of runs without an instance head too.
      views: 8 = score the mean over the symmetries of each image.
      force: score although a run was trained or selected on some of these patches.
    """

    experiment: Experiment | None = None
    split: str = "test"
    kinds: Sequence[str] = ()
    others: Sequence[str] = ()
    instances: bool = False
    views: int = 1
    force: bool = False


@dataclasses.dataclass(frozen=True)
class Target:
    """A run on one split.

    Attributes:
      role: 'run' or 'baseline'.
      data: the name of the split in tables.
      folder: the run.
      experiment: the run's own, with the settings of evaluation that were asked for.
      plan: data set and splits.
      split: name of the side that is scored.
      own_plan, own_split: those of the split that is corrupted, where batch-norm statistics are estimated again.
      cells: to be scored.
      name: of the folder that keeps them.
      about: JSON values that all of them depend on.
      record: of the checkpoint that is scored.
      is_seen: whether the run was trained or selected on some of these patches.
    """

    role: str
    data: str
    folder: RunFolder
    experiment: Experiment
    plan: DataPlan
    split: str
    own_plan: DataPlan
    own_split: str
    cells: Sequence[Cell]
    name: str
    about: Mapping[str, Any]
    record: RunRecord
    is_seen: bool

    @property
    def patches(self) -> np.ndarray:
        """int32 [N, 2], (fold, row) of the patches that are scored."""
        patches: np.ndarray = getattr(self.plan.splits, self.split)
        return patches

    def store(self, out: pathlib.Path) -> CellStore:
        """Returns the folder of its finished cells.

        Args:
          out: of the command.
        """
        return CellStore(out / SCORES / self.role / self.name, dict(self.about))

    def facts(self) -> dict[str, Any]:
        """Returns JSON values that tell whoever reads the scores what they are of."""
        return {"data_name": self.plan.info.name, "images": len(self.patches), "is_seen": self.is_seen}

    def default_out(self) -> pathlib.Path:
        """Returns the folder inside the run for this split, with these settings of evaluation and this checkpoint."""
        own = read_experiment_file(self.folder.config).config.eval
        asked = self.experiment.config.eval
        name = evaluation_name(
            self.plan,
            self.split,
            self.record.step,
            own,
            asked,
            baselines=False,
            views=self.about["views"],
        )
        return self.folder.robustness / name


def open_targets(
    role: str,
    workdir: pathlib.Path,
    asked: Asked,
    data_of: Experiment,
    cells: Sequence[Cell],
) -> list[Target]:
    """Returns a run on the split that is corrupted, then on each other data set; restores nothing.

    Args:
      role: 'run' or 'baseline'.
      workdir: the run.
      asked: split and other data.
      data_of: names the data set and its splits, the same for run and baseline.
      cells: of the corrupted split.

    Raises:
      UserError: no such run or data, data that the model does not fit, or patches that it was trained on.
    """
    folder = RunFolder(workdir)
    require_config(folder)
    trained = read_experiment_file(folder.config)
    named = asked.experiment or trained
    settings = dataclasses.replace(
        trained.config,
        eval=dataclasses.replace(named.config.eval, instances=named.config.eval.instances or asked.instances),
        mesh=named.config.mesh,
    )
    experiment = dataclasses.replace(trained, config=settings)
    best, _ = best_checkpoint(folder)
    identity = identity_of(folder, best, experiment, views=asked.views)
    own = with_data_of(experiment, data_of).plan([asked.split])

    def target(plan: DataPlan, split: str, data: str, cells: Sequence[Cell], name: str) -> Target:
        refuse_other_data(folder, plan, num_classes=trained.config.model.num_classes)
        check_whole_patches(trained.config, plan.info)
        if not asked.force:
            refuse_seen_patches(folder, plan, split)
        lists = np.asarray(getattr(plan.splits, split)).tolist()
        about = {
            **identity,
            "split": split,
            "data_digest": plan.digest,
            "patches_digest": bytes_digest(json.dumps(lists).encode())["sha256"],
        }
        is_seen = bool(first_seen(seen_by_run(folder), folder.path, plan, split))
        return Target(
            role=role,
            data=data,
            folder=folder,
            experiment=experiment,
            plan=plan,
            split=split,
            own_plan=own,
            own_split=asked.split,
            cells=cells,
            name=name,
            about=about,
            record=best.record,
            is_seen=is_seen,
        )

    targets = [target(own, asked.split, asked.split, cells, "corrupted")]
    for other in dict.fromkeys(asked.others):
        plan, split = other_plan(other, experiment, asked.split)
        name = f"shift-{plan.digest[:8]}-{plan.splits.digest[:8]}"
        targets.append(target(plan, split, other, [CLEAN], name))
    return targets
