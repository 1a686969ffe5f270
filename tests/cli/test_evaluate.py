import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from nucseg_jax import load_run
from nucseg_jax.cli.evaluate import evaluate, read_patches, refuse_other_data, refuse_seen_patches
from nucseg_jax.cli.evaluation_folder import evaluation_name
from nucseg_jax.cli.train import changes_since_start
from nucseg_jax.config.evaluation import EvalConfig
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.seal import sealed, unsealed
from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.prepared import DataPlan, plan_data
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.splits import Splits, official_splits
from nucseg_jax.data.store.reader import StoredDataset, read_folds
from nucseg_jax.evaluation.baselines import otsu_hematoxylin
from nucseg_jax.experiment import read_experiment_file
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.ops.probability import FOREGROUND_RULE
from nucseg_jax.run_folder.check import best_checkpoint
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.record import AlteredRunError
from nucseg_jax.run_folder.saved_checkpoints import checkpoint_paths


def scores_of(run, split, *asked):
    """What the evaluation left that was asked for these fields of `eval`."""
    (folder,) = (run / "evaluations").glob("-".join([f"{split}-*-step[0-9][0-9]", *asked]))
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
        assert f"was {verb} 5 of the 5 patches of this {split} split" in err
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
    earlier = scores_of(finished_run, "test")
    status, _, err = command_line.run(
        "evaluate",
        *command_line.config,
        "--config.eval.reestimate_batch_norm=True",
        "--config.eval.compare_statistics=end",
        "--config.model.dropout=0.3",
        f"--workdir={finished_run}",
    )
    assert status == 0, err
    scored = scores_of(finished_run, "test", "reestimate_batch_norm=True", "compare_statistics=end")
    # What was asked before is kept.
    assert scores_of(finished_run, "test") == earlier
    assert scored["about"]["eval"]["reestimate_batch_norm"] is True
    assert scored["about"]["forced"] is False
    assert scored["test"]["batch_statistics"]["micro"]["dice"] > 0
    assert scored["test"]["moving_statistics"] == json.loads(before)["test"]
    assert scored["test"]["dice_loss"] != json.loads(before)["test"]["dice_loss"]
    assert (finished_run / "results.json").read_bytes() == before


def test_the_mean_of_eight_views_is_scored_in_a_folder_of_its_own_and_is_what_predict_sees(
    command_line, finished_run
):
    """The patches' masks by `Run.predict` have the Dice that was scored, and it is not that of one view."""
    status, out, err = command_line.run("evaluate", f"--workdir={finished_run}", "--views=8")
    assert status == 0, err
    assert "5 patches, mean of 8 views" in out
    scored = scores_of(finished_run, "test", "views=8")
    assert scored["about"]["views"] == 8
    data = read_experiment_file(finished_run / "config.json").plan().read(["test"])
    patches, run = data.patches.take(data.rows("test")), load_run(finished_run)
    truth = patches.label > 0
    whole = NucleusRule(smallest_um2=0.0)
    mask = np.stack([run.predict(image, rule=whole, views=8).mask for image in patches.image])
    dice = 2 * np.sum(mask & truth) / (mask.sum() + truth.sum())
    assert scored["test"]["micro"]["dice"] == pytest.approx(dice, abs=1e-4)
    one = json.loads((finished_run / "results.json").read_text())["test"]
    assert scored["test"]["micro"]["dice"] != one["micro"]["dice"]


@pytest.mark.parametrize("arguments", [["--baselines"], ["--predictions=masks"]])
def test_views_go_with_a_run(arguments, command_line):
    status, _, err = command_line.run("evaluate", *command_line.config, "--views=8", *arguments)
    assert status == 2
    assert "--views" in err
    assert "Traceback" not in err


def test_on_another_split_statistics_come_from_the_patches_that_the_run_was_trained_on(finished_run):
    """Its training patches are looked up in folds that another split asks for under the name of training patches."""
    experiment = read_experiment_file(finished_run / "config.json")
    asked = dataclasses.replace(experiment.config.split, number=3)
    other = dataclasses.replace(experiment, config=dataclasses.replace(experiment.config, split=asked))
    plan = plan_data(experiment.data.prepared_folder, other.splits)
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
        data._replace(splits=official_splits({1: 5, 2: 50, 3: 5}, number=other.config.split.number)).rows(
            "validation"
        )


@pytest.fixture
def copied(finished_run, tmp_path):
    return RunFolder(shutil.copytree(finished_run, tmp_path / "run"))


def edited(file, *names, value):
    """Puts a value into a JSON file, at the end of a path of names."""
    content = json.loads(file.read_text())
    inner = content
    for name in names[:-1]:
        inner = inner[name]
    inner[names[-1]] = value
    file.write_text(json.dumps(content))


@pytest.fixture
def twice_validated(copied):
    """A run with two scored checkpoints; that of step 28, between two validations, gets a score."""
    for path in checkpoint_paths(copied.checkpoints):
        record = path / "record" / "metadata"
        values = unsealed(json.loads(record.read_text()))
        record.write_text(json.dumps(sealed({**values, "scores": {**values["scores"], "28": 0.01}})))
    scores = copied.checkpoints / "28" / "metrics"
    scores.mkdir()
    (scores / "metrics").write_text('{"score": 0.01}')
    return copied


@pytest.mark.parametrize("alter", ["a digit", "infinity", "exchanged", "unreadable"])
def test_an_altered_score_changes_no_model(twice_validated, alter):
    """Orbax's files of scores are no more than a copy of what the records have."""
    copied, (before, notes) = twice_validated, best_checkpoint(twice_validated)
    assert notes == []
    files = {path.name: path / "metrics" / "metrics" for path in checkpoint_paths(copied.checkpoints)}
    scores = {step: file.read_text() for step, file in files.items() if file.exists()}
    assert len(scores) > 1
    (last, other), best = list(scores)[:2], before.path.name
    others = [step for step in scores if step != best]
    new = {
        "a digit": {others[0]: '{"score": 0.9999}'},
        "infinity": {others[0]: '{"score": Infinity}'},
        "exchanged": {last: scores[other], other: scores[last]},
        "unreadable": {others[0]: "{"},
    }[alter]
    for step, text in new.items():
        files[step].write_text(text)
    after, notes = best_checkpoint(copied)
    assert after.path == before.path
    assert len(notes) == len(new)
    assert all("was altered and is passed over: its score" in note for note in notes)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("train", "dtype", "bfloat16"),
        ("model", "batch_norm_unbiased_variance", True),
        ("model", "output_stride", 8),
        ("eval", "reestimate_batch_norm", True),
    ],
)
def test_an_edited_config_is_refused_wherever_it_would_change_a_number(copied, section, field, value):
    as_trained = read_experiment_file(copied.config)
    edited(copied.config, section, field, value=value)
    for use in (
        lambda: load_run(copied.path),
        lambda: evaluate(None, copied.path, split="test", baselines=False, force=False),
        lambda: changes_since_start(as_trained, copied),
    ):
        with pytest.raises(AlteredRunError, match=f"{section}.{field}: .* -> {value!r}"):
            use()


def test_an_edited_data_digest_lets_no_training_patch_be_scored(copied):
    experiment = read_experiment_file(copied.config)
    plan = plan_data(experiment.data.prepared_folder, experiment.splits)
    edited(copied.split, "data_digest", value="0" * 64)
    with pytest.raises(AlteredRunError, match=r"split\.json was altered"):
        refuse_seen_patches(copied, plan, "train")


def test_a_best_checkpoint_that_is_gone_is_missed(twice_validated):
    """Rather than that the next best takes its place; also without metrics.jsonl."""
    copied, step = twice_validated, best_checkpoint(twice_validated)[0].record.step
    shutil.rmtree(copied.checkpoints / str(step))
    copied.metrics.unlink()
    with pytest.raises(UserError, match=rf"(?s)of step {step}, is gone.*put it back"):
        load_run(copied.path)


def test_a_run_of_an_earlier_version_is_used_and_its_scores_are_held_to_the_log(copied, capsys):
    before = load_run(copied.path)
    assert capsys.readouterr().err == ""
    for path in checkpoint_paths(copied.checkpoints):
        record = path / "record" / "metadata"
        values = json.loads(record.read_text())
        record.write_text(json.dumps({name: values[name] for name in ("config", "split_digest")}))
    copied.record.unlink()
    assert load_run(copied.path).digest() == before.digest()
    assert capsys.readouterr().err.count("cannot be checked") == 1
    lines = [json.loads(line) for line in copied.metrics.read_text().splitlines()]
    first = next(line for line in lines if line["kind"] == "epoch")
    first["validation"]["micro"]["dice"] = 0.99
    copied.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=r"its Dice in validation was 0\.9900|0\.99 was recorded elsewhere"):
        load_run(copied.path)


def test_an_evaluation_is_named_by_what_was_asked():
    own = EvalConfig(8, False, "never", 6, True)
    nothing = np.zeros(0, np.int32)
    index = PatchIndex(nothing, nothing, None, (), nothing, nothing, ())
    dataset = StoredDataset(pathlib.Path(), PANNUKE, index, "d" * 64, np.zeros((0, 4), np.int32))
    plan = DataPlan(dataset, Splits(*np.zeros((3, 0, 2), np.int32)))

    def name(step=8, baselines=False, plan=plan, split="test", views=1, **fields):
        asked = dataclasses.replace(own, **fields)
        return evaluation_name(plan, split, step, own, asked, baselines=baselines, views=views)

    names = [
        name(),
        name(step=16),
        name(baselines=True),
        name(reestimate_batch_norm=True),
        name(compare_statistics="end"),
        name(compare_statistics="end", reestimate_batch_norm=True),
        name(batch_size=4),
        name(split="validation"),
        name(views=8),
        name(views=8, baselines=True),
        name(stain_normalization="reinhard"),
        name(stain_normalization="macenko"),
        name(plan=plan._replace(dataset=dataclasses.replace(dataset, digest="e" * 64))),
        name(plan=plan._replace(splits=Splits(*np.ones((3, 1, 2), np.int32)))),
    ]
    assert len(set(names)) == len(names)
    assert name(overlays=0, time_inference=False) == names[0]


@pytest.mark.parametrize("num_classes", [1, 3])
def test_a_run_is_scored_on_other_data_only_at_its_scale_and_with_its_classes(tmp_path, num_classes):
    toy = DatasetInfo(
        "toy", (NucleusClass("a", (1, 2, 3)), NucleusClass("b", (4, 5, 6))), ("x",), patch_px=128
    )
    toy.write(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    folder, nothing = RunFolder(tmp_path), np.zeros(0, np.int32)
    index = PatchIndex(nothing, nothing, None, (), nothing, nothing, ())

    def refused(**changes):
        info = dataclasses.replace(toy, **changes)
        dataset = StoredDataset(pathlib.Path("other"), info, index, "d" * 64, np.zeros((0, 4), np.int32))
        plan = DataPlan(dataset, Splits(*np.zeros((3, 0, 2), np.int32)))
        try:
            refuse_other_data(folder, plan, num_classes=num_classes)
        except UserError as error:
            return str(error)
        return ""

    assert refused(name="toys", groups=("y", "z"), group_noun="patient", has_void=True) == ""
    assert refused(patch_px=256) == ""
    assert "microns_per_px: 0.25 -> 0.5" in refused(microns_per_px=0.5)
    of_classes = "classes: ['a', 'b'] -> ['b', 'a']"
    assert (of_classes in refused(classes=toy.classes[::-1])) == (num_classes > 1)


def test_no_run_no_scores(command_line, tmp_path):
    status, _, err = command_line.run("evaluate", f"--workdir={tmp_path}")
    assert status == 2
    assert "config.json cannot be read" in err
