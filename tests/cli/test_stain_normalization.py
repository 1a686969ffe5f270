"""A run with stain normalisation: one target from the first epoch to `predict`, kept with the run and sealed."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from nucseg_jax import load_run
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.seal import file_digest
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.experiment import make_evaluator, read_experiment_file
from nucseg_jax.ops.stain_normalization.stored_target import target_from_json, target_to_json
from nucseg_jax.ops.stain_normalization.target import pooled_target
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.runtime.mesh import make_mesh

MACENKO = "--config.eval.stain_normalization=macenko"


@pytest.fixture(scope="module")
def run(command_line, tmp_path_factory) -> pathlib.Path:
    workdir = tmp_path_factory.mktemp("stain") / "run"
    status, _, err = command_line.train(workdir, "--config.train.epochs=1", MACENKO)
    assert status == 0, err
    return workdir


def results_of(folder: pathlib.Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def evaluation_of(run: pathlib.Path, pattern: str) -> dict:
    (folder,) = (run / "evaluations").glob(pattern)
    return results_of(folder)


def test_the_target_is_of_the_training_split_and_sealed(run):
    folder = RunFolder(run)
    experiment = read_experiment_file(folder.config)
    plan = experiment.plan()
    data = plan.read()
    images = data.patches.take(data.rows("train")).image
    expected = target_to_json(pooled_target("macenko", images, len(images)))
    assert folder.read_stain() == expected
    record = json.loads((run / "record.json").read_text())
    assert record["files"]["stain.json"] == file_digest(run / "stain.json")
    assert target_to_json(load_run(run).stain) == expected


def test_it_changes_validation_and_scores_but_no_training_step(run, finished_run):
    def lines(folder, kind):
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return [row for row in rows if row["kind"] == kind]

    with_it, without = lines(run, "train"), lines(finished_run, "train")
    assert [row["loss"] for row in with_it[:3]] == [row["loss"] for row in without[:3]]
    assert (
        lines(run, "epoch")[0]["validation"]["loss"] != lines(finished_run, "epoch")[0]["validation"]["loss"]
    )
    assert not (finished_run / "stain.json").exists()


def test_a_resumed_run_keeps_its_target_and_refuses_another_method(command_line, run, tmp_path):
    again = shutil.copytree(run, tmp_path / "again")
    before = (again / "stain.json").read_bytes()
    for name in ("results.json", "record.json"):
        (again / name).unlink()
    status, _, err = command_line.train(again, "--config.train.epochs=1")
    assert status == 2
    assert "eval.stain_normalization: 'macenko' -> 'none'" in err
    status, _, err = command_line.train(again, "--config.train.epochs=1", MACENKO)
    assert status == 0, err
    assert (again / "stain.json").read_bytes() == before
    assert results_of(again)["test"] == results_of(run)["test"]


def test_a_target_that_was_altered_or_removed_is_refused(run, tmp_path):
    altered = shutil.copytree(run, tmp_path / "altered")
    stored = json.loads((altered / "stain.json").read_text())
    stored["statistics"]["strengths"][0] *= 2
    (altered / "stain.json").write_text(json.dumps(stored))
    with pytest.raises(UserError, match=r"stain\.json was altered"):
        load_run(altered)
    (altered / "stain.json").unlink()
    with pytest.raises(UserError, match=r"stain\.json is missing"):
        load_run(altered)


@pytest.mark.long
def test_evaluate_scores_as_training_did_and_another_normalisation_by_its_name(
    command_line, run, finished_run
):
    status, out, err = command_line.run("evaluate", f"--workdir={run}")
    assert status == 0, err
    assert "Macenko stain normalisation" in out
    assert evaluation_of(run, "test-*-step[0-9][0-9]")["test"] == results_of(run)["test"]
    for workdir, method in ((run, "none"), (run, "reinhard"), (finished_run, "macenko")):
        asked = (*command_line.config, f"--config.eval.stain_normalization={method}")
        status, _, err = command_line.run("evaluate", *asked, f"--workdir={workdir}")
        assert status == 0, err
        found = evaluation_of(workdir, f"test-*-stain_normalization={method}")
        assert found["test"]["micro"] != results_of(workdir)["test"]["micro"]
        assert ("stain_target" in found["about"]) == (method != "none")
    # Both runs were trained on the same split: what the second one measured is what the first one keeps.
    kept = json.loads((run / "stain.json").read_text())
    assert evaluation_of(finished_run, "*=macenko")["about"]["stain_target"] == kept
    assert not (finished_run / "stain.json").exists()


@pytest.mark.long
def test_robustness_measures_the_target_where_the_run_has_none(command_line, finished_run, run, tmp_path):
    arguments = ("robustness", "--kinds=hue", *command_line.config, MACENKO)
    out = tmp_path / "out"
    status, _, err = command_line.run(*arguments, f"--workdir={finished_run}", f"--out={out}")
    assert status == 0, err
    evaluated = json.loads((out / "summary.json").read_text())
    assert evaluated["about"]["eval"]["stain_normalization"] == "macenko"
    status, _, err = command_line.run(
        "robustness", "--kinds=hue", f"--workdir={finished_run}", f"--out={out}"
    )
    assert status == 2
    assert "eval" in err
    status, _, err = command_line.run("robustness", "--kinds=hue", f"--workdir={run}")
    assert status == 0, err
    (cells,) = (run / "robustness").glob("*/scores/run/corrupted/clean.json")
    assert cells.exists()


def test_predictions_are_of_the_normalised_image_and_name_the_target(
    command_line, run, finished_run, tmp_path
):
    from PIL import Image

    image = paint_patch(0, 1, 12).image
    opened, plain = load_run(run), load_run(finished_run)
    found = opened.predict(image)
    np.testing.assert_array_equal(found.image, image)
    seen = opened.stain.apply(image, opened.stain.statistics_of(image))
    opened.__dict__["stain"] = None
    by_hand = opened.predict(seen)
    np.testing.assert_allclose(found.probability, by_hand.probability, atol=1e-6)
    assert np.abs(found.probability - opened.predict(image).probability).max() > 0.01
    assert plain.stain is None
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(np.full((80, 80, 3), 255, np.uint8)).save(tmp_path / "white.png")
    status, out, err = command_line.run(
        "predict", f"--workdir={run}", f"--inputs={tmp_path}", f"--out={tmp_path / 'out'}"
    )
    assert status == 0, err
    assert "Macenko stain normalisation" in out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert target_from_json(summary["stain_target"]).method == "macenko"
    notes = {pathlib.Path(entry["input"]).name: " ".join(entry["notes"]) for entry in summary["images"]}
    assert "stains were not normalised" in notes["white.png"]
    assert "stains" not in notes["a.png"]


@pytest.mark.long
def test_an_export_states_what_it_expects(command_line, run, tmp_path):
    out = tmp_path / "model.stablehlo"
    status, printed, err = command_line.run("export", f"--workdir={run}", f"--out={out}")
    assert status == 0, err
    assert "expects images that are: macenko" in printed
    facts = json.loads(out.with_name(f"{out.name}.json").read_text())
    assert facts["stain_target"] == json.loads((run / "stain.json").read_text())


def test_an_evaluator_takes_the_target_of_its_config_alone(run, finished_run):
    with_it, without = (read_experiment_file(each / "config.json") for each in (run, finished_run))
    with pytest.raises(ValueError, match="stain_normalization is 'macenko'"):
        make_evaluator(with_it, make_mesh(1))
    with pytest.raises(ValueError, match="stain_normalization is 'none'"):
        make_evaluator(without, make_mesh(1), stain=load_run(run).stain)
