"""`evaluate`: scores of a trained run, of baselines, or of both side by side, on one split."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from nucseg_jax.best_model import rule_of, scored_variables
from nucseg_jax.cli.evaluation_folder import evaluation_name, write_evaluation
from nucseg_jax.cli.headline import headline
from nucseg_jax.cli.seen_patches import first_seen, seen_by_run
from nucseg_jax.cli.stain_target import needs_training_patches, stain_text, target_of_scores
from nucseg_jax.cli.table import instance_table, results_table
from nucseg_jax.cli.views import views_text
from nucseg_jax.config import config_fields, differences
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_sizes import check_whole_patches
from nucseg_jax.data.prepared import DataPlan, PreparedData, plan_data
from nucseg_jax.evaluation.baseline_scores import score_baselines
from nucseg_jax.evaluation.split_scores import SplitScores
from nucseg_jax.experiment import Experiment, make_evaluator, read_experiment_file
from nucseg_jax.heads.decoding.stored_rule import rule_to_json
from nucseg_jax.model_folder.folder import refuse_model_folder
from nucseg_jax.ops.stain_normalization.stored_target import target_to_json
from nucseg_jax.run_folder.check import best_checkpoint, require_config
from nucseg_jax.run_folder.folder import RunFolder, info_changes
from nucseg_jax.runtime.processes import silence_non_primary


def evaluate(
    experiment: Experiment | None,
    workdir: pathlib.Path | None,
    *,
    split: str,
    baselines: bool,
    force: bool,
    instances: bool = False,
    views: int = 1,
    verbose: bool = False,
) -> None:
    """Scores one split and prints its Dice and the table; a run's scores are also written into its folder.

    Args:
      experiment: names data and split; None = the run's own config.
      workdir: the run; None = baselines alone.
      split: 'train', 'validation' or 'test'.
      baselines: score the baselines too.
      instances: find and score nuclei of a run without an instance head too.
      views: 8 = score the mean over the symmetries of each patch.
      verbose: print the loss terms too.
      force: score although the run was trained or selected on some of these patches.

    Raises:
      UserError: nothing to score, no data, a config of another model, patches that were trained on, a run that was
        altered, or, once the table is printed, a run folder that cannot be written.
    """
    if workdir is None and not baselines:
        raise UserError("there is nothing to evaluate", expected="--workdir=RUN, --baselines, or both")
    if workdir is None and views > 1:
        raise UserError(
            "--views goes with a run: no baseline sees another nucleus in an image that was turned",
            advice="add --workdir=RUN, or leave --views out",
        )
    if workdir is None:
        if experiment is None:
            raise UserError(
                "--config is missing", advice="add --config=NAME: it names the data set and split to score"
            )
        plan = plan_data(
            experiment.config.data.prepared_folder, experiment.splits, used=[split], allow_duplicates=True
        )
        data = plan.read_or_open([split])
        print(f"baselines on {split}: {counted(len(data.rows(split)), 'patch')}\n", flush=True)
        noun = data.info.group_noun
        print(results_table({split: {}}, score_baselines(data, split), group_noun=noun))
        return

    refuse_model_folder(workdir)
    folder = RunFolder(workdir)
    require_config(folder)
    trained = read_experiment_file(folder.config)
    asked = experiment or trained
    if instances:
        how = dataclasses.replace(asked.config.eval, instances=True)
        asked = dataclasses.replace(asked, config=dataclasses.replace(asked.config, eval=how))
    refuse_another_model(trained, asked, folder)
    plan = asked.plan([split])
    refuse_other_data(folder, plan, num_classes=trained.config.model.num_classes)
    check_whole_patches(trained.config, plan.info)
    if not force:
        refuse_seen_patches(folder, plan, split)

    how = asked.config.eval
    estimates = how.reestimate_batch_norm or how.compare_statistics != "never"
    reads_training = estimates and how.estimate_on == "training"
    data, training_rows = read_patches(
        folder, plan, split, training=reads_training or needs_training_patches(trained, asked)
    )
    facts, scored = score_run(trained, asked, folder, data, split, training_rows, views=views)
    tables = score_baselines(data, split) if baselines else {}
    if jax.process_index():
        return
    # Before they are written: they took minutes to compute, and the folder may be another's.
    print_scores(split, scored, tables, data, verbose=verbose)
    own = evaluation_name(
        plan, split, facts["checkpoint_step"], trained.config.eval, how, baselines=baselines, views=views
    )
    out = workdir / "evaluations" / own
    about = {**facts, "data_digest": plan.digest, "forced": force}
    outcome = {split: scored.result, "baselines": tables, "about": about}
    write_evaluation(out, outcome, scored, getattr(plan.splits, split), plan.dataset)
    print(f"\nwritten to {out}")


def print_scores(
    split: str, scored: SplitScores, tables: dict[str, Any], data: PreparedData, *, verbose: bool
) -> None:
    """Prints a line with the Dice of a split, then its tables.

    Args:
      split: its name.
      scored: its scores.
      tables: those of baselines, by name.
      data: that was scored.
      verbose: print the loss terms too.
    """
    print(headline(split, scored.result, tables, patches=len(data.rows(split))), end="\n\n")
    shown = results_table({split: scored.result}, tables, group_noun=data.info.group_noun, losses=verbose)
    print(shown, flush=True)
    if scored.instances is not None:
        print(f"\n{instance_table(scored.result['instances'], data.info)}", flush=True)


def read_patches(
    folder: RunFolder, plan: DataPlan, split: str, *, training: bool
) -> tuple[PreparedData, np.ndarray]:
    """Reads the patches of a split and, on request, the rows of those the run was trained on.

    Raises:
      UserError: the training patches are requested, and the data set is not the run's.
    """
    if not training:
        return plan.read_or_open([split]), np.zeros(0, np.int64)
    splits, record = folder.read_splits()
    if record["data_digest"] != plan.digest:
        raise UserError(
            "statistics are estimated on the data set that the run was trained on, and this is another",
            advice="point --config.data.dir at it, or set --config.eval.reestimate_batch_norm=False,"
            " --config.eval.compare_statistics=never and for eval.stain_normalization none or the run's own;"
            " `robustness --data` scores other data sets with statistics of the run's own",
        )
    # Two lists of two splits: the run's own training patches, and the requested patches of any split.
    both = dataclasses.replace(splits, test=getattr(plan.splits, split))
    data = plan._replace(splits=both).read_or_open(["train", "test"])
    return data._replace(splits=plan.splits), data._replace(splits=splits).rows("train")


def score_run(
    trained: Experiment,
    asked: Experiment,
    folder: RunFolder,
    data: PreparedData,
    split: str,
    training_rows: np.ndarray,
    *,
    views: int = 1,
) -> tuple[dict[str, Any], SplitScores]:
    """Scores the best checkpoint of a run on a split of any data set.

    Only the sections `eval` and `mesh` are the requested config's; loss and dtype are the run's own, and so is the rule
    of nuclei, which was tuned on one view.

    Returns:
      What was scored, and how.
    """
    settings = dataclasses.replace(trained.config, eval=asked.config.eval, mesh=asked.config.mesh)
    experiment = dataclasses.replace(trained, config=settings)
    mesh = experiment.make_mesh(data.info.patch_px)
    silence_non_primary()
    best, variables = scored_variables(experiment, folder, mesh)
    stain = target_of_scores(trained, experiment, folder, lambda: (data, training_rows))
    evaluator = make_evaluator(experiment, mesh, has_void=data.info.has_void, views=views, stain=stain)
    print(
        f"{folder.path}, checkpoint of step {best:,}, on {split}: {counted(len(data.rows(split)), 'patch')}"
        f"{views_text(views)}{stain_text(stain)}\n",
        flush=True,
    )
    rule = rule_of(folder, trained)
    scorer = experiment.nucleus_scorer(data.info, rule)
    _, scored = evaluator.score(variables, data, training_rows, [split], scorer=scorer)[split]
    facts = {
        **({} if scorer is None else {"nucleus_rule": rule_to_json(rule)}),
        **({} if stain is None else {"stain_target": target_to_json(stain)}),
        "checkpoint_step": best,
        # Tells the run's own evaluations from those of another run.
        "checkpoint_score": best_checkpoint(folder)[0].score,
        "split_digest": data.splits.digest,
        "eval": dataclasses.asdict(settings.eval),
        "views": views,
    }
    return facts, scored


def refuse_another_model(trained: Experiment, asked: Experiment, folder: RunFolder) -> None:
    """Raises UserError if --config describes another architecture than the run has."""
    fields = config_fields()
    changes = [
        line
        for name, line in differences(trained.config, asked.config).items()
        if fields[name].affects == "model"
    ]
    if changes:
        raise UserError(
            f"{folder.path} holds another model than --config describes: " + "; ".join(changes),
            advice="leave --config out: the run knows its own",
        )


def refuse_other_data(folder: RunFolder, plan: DataPlan, *, num_classes: int) -> None:
    """Raises UserError if the model's classes or scale are not those of the data set to be scored."""
    refuse_other_kind_of_data(str(folder.path), folder.read_info(), plan, num_classes=num_classes)


def refuse_other_kind_of_data(name: str, own: DatasetInfo, plan: DataPlan, *, num_classes: int) -> None:
    """Raises UserError if a model cannot be scored on a data set.

    Void pixels, names of groups and the size of patches may differ: they are the scored data set's own.

    Args:
      name: of the model, for the message.
      own: of the data set that it was trained on.
      plan: the data set to be scored.
      num_classes: of the model.
    """
    free = ("groups", "has_void", "patch_px")
    ignored = free if num_classes > 1 else ("classes", *free)
    changes = info_changes(own, plan.info, ignored=ignored)
    if changes:
        raise UserError(
            f"{name} was trained on another kind of data than {plan.dataset.data_dir} holds: "
            + "; ".join(changes),
            expected="patches of the same scale, and for a model with classes the same classes in the same order",
            advice="prepare the data set again with the model's data.microns_per_px, or score a model that was trained"
            " on such data",
        )


def refuse_seen_patches(folder: RunFolder, plan: DataPlan, split: str) -> None:
    """Raises UserError if patches of `split` were trained on, or chose the checkpoint."""
    refuse_seen(first_seen(seen_by_run(folder), folder.path, plan, split))


def refuse_seen(found: str) -> None:
    """Raises UserError if `first_seen` found patches that the model has seen."""
    if found:
        raise UserError(
            found,
            expected="patches the model has never seen",
            advice="choose another --split, or add --force to score them anyway",
        )
