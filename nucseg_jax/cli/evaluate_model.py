"""`evaluate --model`: scores of a model folder on a split of any data set."""

import dataclasses
import pathlib
from typing import Any

import jax

from nucseg_jax.cli.evaluate import print_scores, refuse_other_kind_of_data, refuse_seen
from nucseg_jax.cli.evaluation_folder import write_evaluation
from nucseg_jax.cli.seen_patches import first_seen
from nucseg_jax.cli.views import views_text
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.patch_sizes import check_whole_patches
from nucseg_jax.evaluation.baseline_scores import score_baselines
from nucseg_jax.experiment import Experiment, make_evaluator
from nucseg_jax.heads.decoding.stored_rule import rule_to_json
from nucseg_jax.load import open_model_folder
from nucseg_jax.model_folder.folder import is_model_folder, read_model_folder
from nucseg_jax.model_folder.named import find_model
from nucseg_jax.run import Run
from nucseg_jax.runtime.placement import put_state
from nucseg_jax.runtime.processes import silence_non_primary


def evaluate_model(
    asked: Experiment,
    source: str,
    *,
    split: str,
    out: pathlib.Path | None,
    baselines: bool = False,
    instances: bool = False,
    views: int = 1,
    force: bool = False,
    verbose: bool = False,
) -> None:
    """Scores one split and prints its Dice and the table, as `evaluate` does of a run.

    The network, its dtype and the rule of nuclei are the model's. Losses are weighed as in the config: a model folder
    does not hold how its run weighed them.

    Args:
      asked: names data, split, settings of evaluation and mesh; its section `model` does not count.
      source: the name of a model of this installation, a model folder, a packed model or its URL.
      split: 'train', 'validation' or 'test'.
      out: folder for results.json and the tables by patch; None = nothing is written.
      baselines, instances, views, force, verbose: as in `evaluate`.

    Raises:
      UserError: no such model, no data, data of another kind, patches that the model has seen, settings that need the
        run's training patches, or, once the table is printed, a place that cannot be written.
    """
    path, name = find_model(source)
    if not is_model_folder(path):
        raise UserError(
            f"{name} is no model folder",
            expected="the name of a model, or what share or export --format=folder wrote",
            advice=f"for a run folder: --workdir={name}",
        )
    how = asked.config.eval
    estimates = how.reestimate_batch_norm or how.compare_statistics != "never"
    if estimates and how.estimate_on == "training":
        raise UserError(
            "statistics are estimated on training patches, which a model folder does not have",
            advice="leave out --config.eval.reestimate_batch_norm and --config.eval.compare_statistics, or estimate on"
            " the patches that are scored: --config.eval.estimate_on=scored",
        )
    silence_non_primary()
    run = open_model_folder(path, name)
    own_method = _stain_method(run)
    if how.stain_normalization not in ("none", own_method):
        raise UserError(
            f"eval.stain_normalization is {how.stain_normalization}, and that of {name} is {own_method}; another one is"
            " measured on training patches, which a model folder does not have",
            advice="leave out --config.eval.stain_normalization",
        )
    experiment = _with_data_of(run, asked, instances=instances or how.instances)
    plan = experiment.plan([split])
    refuse_other_kind_of_data(name, run.info, plan, num_classes=run.experiment.config.model.num_classes)
    check_whole_patches(experiment.config, plan.info)
    seen = read_model_folder(path).read_seen()
    if not force:
        refuse_seen(first_seen(seen, pathlib.Path(name), plan, split))
    data = plan.read_or_open([split])
    mesh = experiment.make_mesh(plan.info.patch_px)
    evaluator = make_evaluator(experiment, mesh, has_void=plan.info.has_void, views=views, stain=run.stain)
    print(
        f"{name}, checkpoint of step {run.checkpoint_step:,}, on {split}: {counted(len(data.rows(split)), 'patch')}"
        f"{views_text(views)}; licence of the weights: {run.licence}\n",
        flush=True,
    )
    scorer = experiment.nucleus_scorer(plan.info, run.rule)
    variables = put_state(jax.device_get(run.variables), mesh)
    _, scored = evaluator.score(variables, data, data.rows(split)[:0], [split], scorer=scorer)[split]
    tables = score_baselines(data, split) if baselines else {}
    if jax.process_index():
        return
    print_scores(split, scored, tables, data, verbose=verbose)
    if out is None:
        return
    about = {
        **({} if scorer is None else {"nucleus_rule": rule_to_json(run.rule)}),
        "model": name,
        "model_digest": run.digest(),
        "licence": run.licence,
        "checkpoint_step": run.checkpoint_step,
        "split_digest": plan.splits.digest,
        "data_digest": plan.digest,
        "eval": dataclasses.asdict(experiment.config.eval),
        "loss": dataclasses.asdict(experiment.config.loss),
        "views": views,
        "forced": force,
    }
    outcome = {split: scored.result, "baselines": tables, "about": about}
    write_evaluation(out, outcome, scored, getattr(plan.splits, split), plan.dataset)
    print(f"\nwritten to {out}")


def _stain_method(run: Run) -> Any:
    """Returns the value of `eval.stain_normalization` that a model goes with."""
    return "none" if run.stain is None else run.stain.method


def _with_data_of(run: Run, asked: Experiment, *, instances: bool) -> Experiment:
    """Returns the model as an experiment with the data and settings of another."""
    own = run.experiment.config
    config = dataclasses.replace(
        asked.config,
        model=own.model,
        train=dataclasses.replace(asked.config.train, dtype=own.train.dtype),
        eval=dataclasses.replace(
            asked.config.eval,
            instances=instances,
            stain_normalization=_stain_method(run),
        ),
    )
    return dataclasses.replace(run.experiment, config=config)
