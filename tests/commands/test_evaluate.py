import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from nucseg_jax import load_run
from nucseg_jax.commands.evaluate import read_patches
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.pannuke.reader import read_folds
from nucseg_jax.data.prepared import plan_data
from nucseg_jax.evaluation.baselines import otsu_hematoxylin
from nucseg_jax.experiment import read_experiment_file
from nucseg_jax.ops.probability import FOREGROUND_RULE
from nucseg_jax.training.run_folder import RunFolder


def scores_of(run, split):
    (folder,) = (run / "evaluations").glob(f"{split}-*")
    return json.loads((folder / "results.json").read_text())


def test_the_test_split_scores_as_at_the_end_of_training(command_line, finished_run):
    status, out, err = command_line.run("evaluate", f"--workdir={finished_run}")
    assert status == 0, err
    assert "image_skip" in out
    trained = json.loads((finished_run / "results.json").read_text())
    assert trained["test"]["foreground_rule"] == FOREGROUND_RULE
    assert scores_of(finished_run, "test")["test"] == trained["test"]


def test_patches_that_were_trained_or_selected_on_are_refused_unless_forced(command_line, finished_run):
    for split, verb in (("train", "trained on"), ("validation", "selected on")):
        status, _, err = command_line.run("evaluate", f"--workdir={finished_run}", f"--split={split}")
        assert status == 2
        assert f"5 of the 5 patches of this {split} split were {verb}" in err
    # Another rotation's test fold is this run's validation fold.
    status, _, err = command_line.run(
        "evaluate",
        *command_line.config,
        "--config.split.number=3",
        "--split=validation",
        f"--workdir={finished_run}",
    )
    assert status == 2
    assert "selected on" in err
    status, _, err = command_line.run("evaluate", f"--workdir={finished_run}", "--split=train", "--force")
    assert status == 0, err


def test_baselines_need_no_run_and_are_the_function_on_the_fold(command_line):
    status, out, err = command_line.run("evaluate", *command_line.config, "--baselines")
    assert status == 0, err
    data_dir = next(a for a in command_line.config if "data.dir" in a).split("=", 1)[1]
    fold = read_folds(pathlib.Path(data_dir), [3])
    prediction, truth = otsu_hematoxylin(fold.image), fold.label > 0
    dice = 2 * np.sum(prediction & truth) / (np.sum(prediction) + np.sum(truth))
    line = next(line for line in out.splitlines() if "otsu" in line)
    assert f"{dice:.4f}" in line


def test_another_model_is_refused(command_line, finished_run):
    status, _, err = command_line.run(
        "evaluate", *command_line.config, "--config.model.width=0.5", f"--workdir={finished_run}"
    )
    assert status == 2
    assert "model.width: 0.125 -> 0.5" in err


def test_reestimation_and_batch_statistics_are_options_of_evaluation(command_line, finished_run):
    """They change the scores and are said; the run's own results.json stays as it is."""
    before = (finished_run / "results.json").read_bytes()
    status, _, err = command_line.run(
        "evaluate",
        *command_line.config,
        "--config.eval.reestimate_batch_norm=True",
        "--config.eval.compare_statistics=end",
        "--config.model.dropout=0.3",
        f"--workdir={finished_run}",
    )
    assert status == 0, err
    scored = scores_of(finished_run, "test")
    assert scored["about"]["eval"]["reestimate_batch_norm"] is True
    assert scored["about"]["forced"] is False
    assert scored["test"]["batch_statistics"]["micro"]["dice"] > 0
    assert scored["test"]["moving_statistics"] == json.loads(before)["test"]
    assert scored["test"]["dice_loss"] != json.loads(before)["test"]["dice_loss"]
    assert (finished_run / "results.json").read_bytes() == before


def test_on_another_split_statistics_come_from_the_patches_that_the_run_was_trained_on(finished_run):
    """Its training patches are looked up in folds that another split asks for under the name of training patches."""
    experiment = read_experiment_file(finished_run / "config.json")
    asked = dataclasses.replace(experiment.settings.split, number=3)
    other = dataclasses.replace(experiment, settings=dataclasses.replace(experiment.settings, split=asked))
    plan = plan_data(experiment.data.data_dir, other.splits)
    folder = RunFolder(finished_run)
    data, training_rows = read_patches(folder, plan, "train", training=True)
    trained = folder.read_splits()[0].train
    for rows, pairs in ((training_rows, trained), (data.rows("train"), plan.splits.train)):
        np.testing.assert_array_equal(
            np.stack([data.patches.fold[rows], data.patches.index[rows]], axis=1), pairs
        )
    assert set(trained[:, 0]) != set(plan.splits.train[:, 0])
    assert data.splits.digest == plan.splits.digest
    with pytest.raises(KeyError, match="validation"):
        data._replace(splits=other.splits({1: 5, 2: 50, 3: 5})).rows("validation")


def test_a_best_checkpoint_that_is_gone_is_missed(finished_run, tmp_path):
    """Rather than that the next best takes its place."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = max((line for line in lines if line["kind"] == "epoch"), key=lambda line: line["step"])
    for line in lines:
        if line["kind"] == "epoch":
            line["validation"]["micro"]["dice"] = 0.99 if line is lines[0] or line["epoch"] == 1 else 0.1
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=r"(?s)is gone: its Dice in validation was 0\.9900.*put it back"):
        load_run(run)
    folder = RunFolder(run)
    folder.require_best(0.99, up_to_step=last["step"])
    folder.require_best(None, up_to_step=0)


def test_no_run_no_scores(command_line, tmp_path):
    status, _, err = command_line.run("evaluate", f"--workdir={tmp_path}")
    assert status == 2
    assert "config.json cannot be read" in err
