"""First weights of a model: a converted encoder's, or those of a trained run's whole model."""

import dataclasses
import os
import pathlib
import shlex
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from nucseg_jax.best_model import best_variables
from nucseg_jax.cli.seen_patches import require_unseen, seen_by_run
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.tree import leaf_name
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.prepared import DataPlan
from nucseg_jax.experiment import Experiment, read_experiment_file
from nucseg_jax.model_folder.folder import refuse_model_folder
from nucseg_jax.models.initial import abstract_variables
from nucseg_jax.pretrained.checkpoint import digest_of
from nucseg_jax.pretrained.match import by_layer, shortened
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.saved_checkpoints import checkpoint_paths
from nucseg_jax.runtime.mesh import make_mesh

HEAD = "head"
# Fields that define a network; rates and momenta do not.
_NETWORK = ("encoder", "decoder", "output_stride", "width", "encoder_depths")
_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class FirstWeights:
    """Weights that a model starts from in place of its initial ones.

    Attributes:
      variables: {collection: {module: tree}} of every module that they replace, float32 NumPy arrays.
      summary: one line: what was loaded from where, and what was not.
      facts: JSON values for pretrained.json; `digest` names their content.
    """

    variables: dict[str, dict[str, Any]]
    summary: str
    facts: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The SHA-256 of the weights."""
        return str(self.facts["digest"])


def first_weights(experiment: Experiment, folder: RunFolder, plan: DataPlan) -> FirstWeights | None:
    """Reads the weights that the config names, unless the run has checkpoints.

    Args:
      experiment: of the run.
      folder: of the run; it need not exist.
      plan: what the run trains on.

    Raises:
      UserError: they do not fit the model, are not what the run was started with, or have seen what it scores on.
    """
    source = experiment.config.pretrained
    if source.run:
        _refuse_itself(user_path(source.run), folder)
    # A half-written checkpoint of a killed run does not count.
    if folder.results.exists() or checkpoint_paths(folder.checkpoints):
        return None
    weights = (
        weights_of_run(experiment, user_path(source.run), plan) if source.run else _of_encoder(experiment)
    )
    if weights is not None and folder.pretrained.exists():
        before = folder.read_pretrained().get("digest")
        if before != weights.digest:
            raise UserError(
                f"{source.run or source.path} holds other weights than when {folder.path} was started",
                expected=f"the weights with digest {str(before)[:12]}; found {weights.digest[:12]}",
                advice="choose another --workdir",
            )
    return weights


def _of_encoder(experiment: Experiment) -> FirstWeights | None:
    loaded = experiment.pretrained_encoder()
    if loaded is None:
        return None
    variables = {collection: {"encoder": tree} for collection, tree in loaded.variables.items()}
    return FirstWeights(variables, loaded.summary, loaded.report.as_json())


def weights_of_run(experiment: Experiment, path: pathlib.Path, plan: DataPlan) -> FirstWeights:
    """Reads the best checkpoint of a trained run; of its classifier only if the classes are the same.

    Args:
      experiment: of the new run.
      path: the folder of the trained one.
      plan: what the new run trains on.

    Raises:
      UserError: it has no validated checkpoint, holds another network, or has seen patches that the new
        run validates or tests on.
    """
    refuse_model_folder(path)
    folder = RunFolder(path)
    if not folder.config.exists():
        raise UserError(
            f"pretrained.run is {path}, which "
            + (
                "has no config.json" if path.is_dir() else "is no folder" if path.exists() else "is not there"
            ),
            expected="the --workdir of a training run",
            advice="name a run folder, or give a converted encoder as --config.pretrained.path",
        )
    trained = read_experiment_file(folder.config)
    _require_same_network(trained, experiment, path)
    seen = seen_by_run(folder)
    if not experiment.config.data.allow_duplicates:
        require_unseen(seen, path, plan)
    # Every device holds all of the weights on this mesh, whatever the config's is.
    step, on_devices = best_variables(trained, folder, make_mesh())
    variables = jax.tree.map(np.asarray, on_devices)
    before, now = folder.read_info(), plan.info
    old, new = _outputs(trained, before), _outputs(experiment, now)
    classifier = f"classifier kept: {', '.join(new)}"
    loaded = variables
    if old != new:
        classifier = f"classifier new: {', '.join(new)} instead of {', '.join(old)}"
        loaded = {
            name: {part: tree for part, tree in of.items() if part != HEAD} for name, of in variables.items()
        }
    summary = f"from {path}, step {step:,}, {counted(_size(loaded), 'value')}; {classifier}"
    if before.microns_per_px != now.microns_per_px:
        summary += f"; it was trained at {before.microns_per_px:g} microns a px, these patches have"
        summary += f" {now.microns_per_px:g}"
    facts = {
        "format_version": _FORMAT,
        "run": experiment.config.pretrained.run,
        "step": step,
        "digest": digest_of(_flat(variables)),
        "data_set": before.name,
        "outputs": list(old),
        "classifier": "kept" if old == new else "new",
        "seen": seen,
    }
    return FirstWeights(loaded, summary, facts)


def _refuse_itself(path: pathlib.Path, folder: RunFolder) -> None:
    if os.path.realpath(path) == os.path.realpath(folder.path):
        raise UserError(
            f"pretrained.run is {path}, and so is --workdir",
            expected="the folder of another run",
            advice="leave --config.pretrained.run out to resume this run, or choose another --workdir",
        )


def _outputs(experiment: Experiment, info: DatasetInfo) -> tuple[str, ...]:
    """Returns the names of the channels of the last convolution, in the order of `ops.outputs`."""
    maps = experiment.head.maps
    if experiment.config.model.num_classes == 1:
        return ("nucleus", *maps)
    classes = ("background", *info.class_names)
    return ("nucleus", *maps, *classes) if maps else classes


def _require_same_network(trained: Experiment, experiment: Experiment, path: pathlib.Path) -> None:
    """Raises UserError unless all but the classifiers are equal, layer for layer."""
    theirs, ours = trained.config.model, experiment.config.model
    differing = [
        f"model.{name} {getattr(theirs, name)!r}, and here {getattr(ours, name)!r}"
        for name in _NETWORK
        if getattr(theirs, name) != getattr(ours, name)
    ]
    stored, expected = (
        {
            name: tuple(leaf.shape)
            for name, leaf in _leaves(abstract_variables(each.model))
            if _part(name) != HEAD
        }
        for each in (trained, experiment)
    )
    missing = expected.keys() - stored.keys()
    extra = stored.keys() - expected.keys()
    mis_shaped = [
        f"{name} {stored[name]} instead of {expected[name]}"
        for name in sorted(expected.keys() & stored.keys())
        if stored[name] != expected[name]
    ]
    if not (differing or missing or extra or mis_shaped):
        return
    lines = [f"{path} holds another network: it has {'; '.join(differing) or 'other layers'}."]
    if missing:
        lines.append(f"Missing ({len(missing):,}): {shortened(by_layer(missing))}.")
    if extra:
        lines.append(f"Not part of the model ({len(extra):,}): {shortened(by_layer(extra))}.")
    if mis_shaped:
        lines.append(f"Of another shape ({len(mis_shaped):,}): {shortened(mis_shaped)}.")
    raise UserError(
        "\n".join(lines),
        expected="a run with the same encoder, decoder, output stride, width and depths",
        advice=shlex.join(f"--config.model.{name}={getattr(theirs, name)}" for name in _NETWORK)
        + " describes the network of the run",
    )


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    return [(leaf_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _flat(variables: Any) -> dict[str, np.ndarray]:
    return dict(_leaves(variables))


def _part(name: str) -> str:
    """Returns the part of a leaf's name: 'params/head/kernel' -> 'head'."""
    return name.split("/")[1]


def _size(variables: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(variables))
