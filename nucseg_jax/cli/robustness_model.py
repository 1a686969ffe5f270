"""The runs and splits of `robustness`: checked before anything is computed, and opened when a cell is missing."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence

import jax
import numpy as np
import PIL

from nucseg_jax import __version__
from nucseg_jax.cli.evaluate import read_patches, refuse_other_data, refuse_seen_patches
from nucseg_jax.cli.evaluation_folder import WITHOUT_SCORES
from nucseg_jax.cli.given_config import load_config
from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.seal import bytes_digest
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.patch_sizes import check_whole_patches
from nucseg_jax.data.prepared import DataPlan, plan_data
from nucseg_jax.data.splits import Splits
from nucseg_jax.evaluation.evaluator import Evaluator
from nucseg_jax.evaluation.robustness.cell_store import CellStore
from nucseg_jax.evaluation.robustness.cells import CLEAN, Cell
from nucseg_jax.evaluation.robustness.corrupted_split import CorruptedSplit
from nucseg_jax.experiment import Experiment, read_experiment_file
from nucseg_jax.run import best_variables, rule_of
from nucseg_jax.run_folder.check import best_checkpoint, require_config
from nucseg_jax.run_folder.folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Asked:
    """The wishes of the command line.

    Attributes:
      experiment: names data and split; None = each run's own config.
      split: 'train', 'validation' or 'test'.
      kinds: names of corruptions; none = all.
      others: folders of other prepared data sets, or configs.
      instances: find and score nuclei of runs without an instance head too.
      force: score although a run was trained or selected on some of these patches.
    """

    experiment: Experiment | None = None
    split: str = "test"
    kinds: Sequence[str] = ()
    others: Sequence[str] = ()
    instances: bool = False
    force: bool = False


@dataclasses.dataclass(frozen=True)
class Target:
    """A run on one split.

    Attributes:
      role: 'run' or 'baseline'.
      data: what tables call the split.
      folder: the run.
      experiment: the run's own, with the settings of evaluation that were asked for.
      plan: data set and splits.
      split: name of the side that is scored.
      own_plan, own_split: those of the split that is corrupted, where batch-norm statistics are estimated again.
      cells: to be scored.
      store: keeps them.
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
    store: CellStore

    @property
    def patches(self) -> np.ndarray:
        """int32 [N, 2], (fold, row) of the patches that are scored."""
        patches: np.ndarray = getattr(self.plan.splits, self.split)
        return patches


class OpenedRuns:
    """The models on the devices: each run is restored once and compiled once, whatever it is scored on."""

    def __init__(self) -> None:
        self._variables: dict[str, Variables] = {}
        self._evaluators: dict[tuple[str, bool], Evaluator] = {}
        self._last: tuple[Target, CorruptedSplit] | None = None

    def split(self, target: Target) -> CorruptedSplit:
        """Returns a target ready to be scored; reads its patches unless it is the one that was asked for last."""
        if self._last is None or self._last[0] is not target:
            self._last = None
            evaluator = self._evaluator(target)
            variables = self._chosen_variables(target, evaluator)
            data = target.plan.read_or_open([target.split])
            scorer = target.experiment.nucleus_scorer(
                target.plan.info, rule_of(target.folder, target.experiment)
            )
            self._last = (target, CorruptedSplit(evaluator, variables, data, target.split, scorer))
        return self._last[1]

    def _evaluator(self, target: Target) -> Evaluator:
        info = target.plan.info
        key = (target.role, info.has_void)
        if key not in self._evaluators:
            mesh = target.experiment.make_mesh(info.patch_px)
            self._evaluators[key] = target.experiment.evaluator(mesh, has_void=info.has_void)
        return self._evaluators[key]

    def _chosen_variables(self, target: Target, evaluator: Evaluator) -> Variables:
        if target.role not in self._variables:
            _, variables = best_variables(target.experiment, target.folder, evaluator.mesh)
            if evaluator.reestimates:
                data, rows = read_patches(target.folder, target.own_plan, target.own_split, training=True)
                variables = evaluator.chosen_variables(variables, data, rows, bar="re-estimating statistics")
            self._variables[target.role] = variables
        return self._variables[target.role]


def open_targets(
    role: str,
    workdir: pathlib.Path,
    asked: Asked,
    data_of: Experiment,
    cells: Sequence[Cell],
    out: pathlib.Path,
) -> list[Target]:
    """Returns a run on the split that is corrupted, then on each other data set; restores nothing.

    Args:
      role: 'run' or 'baseline'.
      workdir: the run.
      asked: split and other data.
      data_of: names the data set and its splits, the same for run and baseline.
      cells: of the corrupted split.
      out: of the command; cells are kept below its folder `scores`.

    Raises:
      UserError: no such run or data, data that the model does not fit, patches that it was trained on, or cells of
        another run, split or package.
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
    identity = _identity(folder, experiment)
    own = _with_data_of(experiment, data_of).plan([asked.split])

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
        store = CellStore(out / "scores" / role / name, about)
        store.require_same()
        return Target(role, data, folder, experiment, plan, split, own, asked.split, cells, store)

    targets = [target(own, asked.split, asked.split, cells, "corrupted")]
    for other in dict.fromkeys(asked.others):
        plan, split = _other_plan(other, experiment, asked.split)
        name = f"shift-{plan.digest[:8]}-{plan.splits.digest[:8]}"
        targets.append(target(plan, split, other, [CLEAN], name))
    return targets


def _other_plan(other: str, experiment: Experiment, split: str) -> tuple[DataPlan, str]:
    """Returns the plan of another data set, and the name of its side that is scored."""
    folder = user_path(other)
    if folder.is_dir():
        plan = plan_data(
            folder,
            _all_patches,
            num_classes=experiment.config.model.num_classes,
            used=["test"],
            allow_duplicates=True,
            with_instances=experiment.scores_instances,
        )
        return plan, "test"
    given = load_config(other, ()).experiment()
    return _with_data_of(experiment, given).plan([split]), split


def _all_patches(index: PatchIndex, info: DatasetInfo) -> Splits:
    """Every patch of a data set on the test side."""
    del info
    none = np.zeros((0, 2), np.int32)
    return Splits(none, none, np.stack([index.fold, index.row], axis=1).astype(np.int32))


def _with_data_of(experiment: Experiment, other: Experiment) -> Experiment:
    config = dataclasses.replace(experiment.config, data=other.config.data, split=other.config.split)
    return dataclasses.replace(experiment, config=config)


def _identity(folder: RunFolder, experiment: Experiment) -> JsonObject:
    """Returns what all cells of a run depend on, but for the data."""
    best, _ = best_checkpoint(folder)
    record = json.dumps(best.values, sort_keys=True, default=str)
    settings = dataclasses.asdict(experiment.config.eval)
    scored = {name: value for name, value in settings.items() if name not in (*WITHOUT_SCORES, "batch_size")}
    return {
        "checkpoint_step": best.record.step,
        "checkpoint_digest": bytes_digest(record.encode())["sha256"],
        "eval": scored,
        "nucleus_rule_digest": _rule_digest(folder),
        "nucseg_jax": __version__,
        "source_digest": _source_digest(),
        "jax": jax.__version__,
        "pillow": PIL.__version__,
    }


def _rule_digest(folder: RunFolder) -> str:
    rule = folder.read_nucleus_rule()
    return "" if rule is None else bytes_digest(json.dumps(rule, sort_keys=True).encode())["sha256"]


def _source_digest() -> str:
    """Returns the SHA-256 of the package's own code: a commit says nothing of what was changed since."""
    package = pathlib.Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
