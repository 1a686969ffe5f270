"""Opens a trained model: of a run folder, a model folder, a packed model, a URL, or of this installation."""

import pathlib
import warnings

from nucseg_jax.best_model import rule_of, scored_variables, stain_of
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.experiment import read_experiment, read_experiment_file
from nucseg_jax.model_folder.facts import first_line
from nucseg_jax.model_folder.folder import is_model_folder, read_model_folder, require_some_model
from nucseg_jax.model_folder.named import find_model
from nucseg_jax.models.initial import abstract_variables
from nucseg_jax.run import Run
from nucseg_jax.run_folder.check import require_config
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_state


def load_run(source: str | pathlib.Path) -> Run:
    """Opens a trained model on all devices: of a run folder, a model folder, a file, a URL, or of this installation.

    Args:
      source: the --workdir of `launch.py train`, the --out of `share` or of `export --format=folder`, the URL of such a
        file (`https://...` or `hf://OWNER/REPOSITORY/FILE@REVISION`, with `#sha256=...` behind it or without), or the
        name of a model here. A `pathlib.Path`, and a text with a separator, is always a path.

    Raises:
      UserError: no such run, model or name; a name that is a folder here too; a folder or file that is damaged, a run
        without a validated checkpoint, or a URL that gives no model.
    """
    path, name = find_model(source)
    require_some_model(path)
    return open_model_folder(path, name) if is_model_folder(path) else open_run_folder(path, name)


def open_run_folder(path: pathlib.Path, name: str) -> Run:
    """Opens a run folder: its config and its best checkpoint.

    Batch norm's statistics are the checkpoint's moving ones. A run that was scored with re-estimated ones, which no
    checkpoint holds, gives a UserWarning: its scores are not those of this model.

    Args:
      path: the --workdir of `launch.py train`.
      name: of it for people.

    Raises:
      UserError: no run, or none with a validated checkpoint.
    """
    folder = RunFolder(path)
    require_config(folder)
    experiment = read_experiment_file(folder.config)
    info = folder.read_info()
    info.require_num_classes(experiment.config.model.num_classes)
    rule = rule_of(folder, experiment)
    mesh = make_mesh()
    step, variables = scored_variables(experiment, folder, mesh)
    if experiment.config.eval.reestimate_batch_norm:
        warnings.warn(
            f"{folder.path} was selected and scored with re-estimated batch-norm statistics"
            " (eval.reestimate_batch_norm); predictions have the checkpoint's moving ones, which results.json does not"
            f" score. To score them: {PROGRAM} evaluate with the run's --config and"
            " --config.eval.reestimate_batch_norm=False",
            stacklevel=3,
        )
    stain = stain_of(folder, experiment)
    return Run(path, name, experiment, info, rule, step, variables, mesh, stain=stain)


def open_model_folder(path: pathlib.Path, name: str) -> Run:
    """Opens a model folder or a packed model: its facts and its weights.

    Args:
      path: the --out of `export --format=folder` or of `share`.
      name: of the model for people.

    Raises:
      UserError: a file is missing, damaged or altered, or of a later version.
    """
    folder = read_model_folder(path)
    facts = folder.facts
    experiment = read_experiment(facts.config)
    facts.info.require_num_classes(experiment.config.model.num_classes)
    mesh = make_mesh()
    variables = put_state(folder.read_variables(abstract_variables(experiment.model)), mesh)
    return Run(
        path,
        name,
        experiment,
        facts.info,
        facts.rule,
        facts.checkpoint_step,
        variables,
        mesh,
        licence=first_line(facts.licence),
        stain=facts.stain,
    )
