"""A run with an instance head, by commands: trained, scored by nuclei, tuned, evaluated, predicted, started again."""

import json
import shutil

import jax
import numpy as np
import pytest
import tifffile
import zarr

from nucseg_jax.best_model import best_variables, temperature_of
from nucseg_jax.cli.export_folder import export_folder
from nucseg_jax.cli.predict import PredictSettings, predict
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.experiment import read_experiment_file
from nucseg_jax.heads.decoding.stored_rule import rule_from_json
from nucseg_jax.inference.output import write_images
from nucseg_jax.load import load_run
from nucseg_jax.model_folder.folder import read_model_folder
from nucseg_jax.models.temperature import with_temperature
from nucseg_jax.run_folder.folder import RunFolder
from tests.cli.predicted_files import contents


@pytest.fixture(scope="module")
def run(command_line, tmp_path_factory):
    """One epoch of a narrow model of six outputs and a distance map."""
    workdir = tmp_path_factory.mktemp("runs") / "distance"
    status, out, err = command_line.train(
        workdir,
        "--config.model.head=distance",
        "--config.model.num_classes=6",
        "--config.train.epochs=1",
        "--config.eval.calibrate=True",
    )
    assert status == 0, err
    assert "fitting a temperature" in out
    assert "tuning what counts as a nucleus" in out
    return workdir


def test_every_split_has_scores_of_nuclei_and_losses_of_all_outputs(run):
    results = json.loads((run / "results.json").read_text())
    for split in ("train", "validation", "test"):
        entry = results[split]["instances"]
        assert entry["patches"]["total"] == 5
        assert entry["nuclei"]["truth"] > 50
        assert set(entry["classes"]) == set(load_run(run).info.class_names)
        for average in ("tissue", "image", "pooled"):
            assert 0 <= entry[average]["bpq"] <= entry[average]["dq"] <= 1
        assert {"distance_mse_loss", "class_dice_loss", "class_cross_entropy_loss"} <= results[split].keys()


def test_the_tuned_rule_is_the_best_of_its_grid_and_what_the_run_uses(run):
    stored = json.loads((run / "nucleus_rule.json").read_text())
    best = max(point["score"] for point in stored["grid"])
    rule = load_run(run).rule
    assert rule == rule_from_json(stored["rule"])
    chosen = {
        "threshold": rule.threshold,
        "head": rule.parting.head,
        rule.parting.tuned: getattr(rule.parting, rule.parting.tuned),
        "smallest_um2": rule.smallest_um2,
    }
    (point,) = (each for each in stored["grid"] if chosen.items() <= each.items())
    assert point["score"] == best
    # Without the maps too, in case they have learned little.
    assert {each["head"] for each in stored["grid"]} == {"distance", "none"}
    assert len(stored["grid"]) > 10


def test_evaluate_gives_the_scores_of_the_end_of_training(run, command_line):
    status, out, err = command_line.run("evaluate", f"--workdir={run}")
    assert status == 0, err
    (path,) = (run / "evaluations").glob("*/results.json")
    found, results = json.loads(path.read_text()), json.loads((run / "results.json").read_text())
    assert found["test"]["instances"] == results["test"]["instances"]
    assert found["about"]["nucleus_rule"] == json.loads((run / "nucleus_rule.json").read_text())["rule"]
    lines = [line.split() for line in out.splitlines()]
    assert [
        "bPQ",
        *(f"{results['test']['instances'][a]['bpq']:.4f}" for a in ("tissue", "image", "pooled")),
    ] in lines


def test_its_temperature_is_kept_and_what_is_kept_is_used(run, monkeypatch):
    stored = json.loads((run / "temperature.json").read_text())
    assert temperature_of(RunFolder(run)) == stored["temperature"]
    # One epoch may leave a model that no temperature of the grid fits best.
    assert stored["is_fitted"] or stored["temperature"] == 1.0
    monkeypatch.setattr("nucseg_jax.best_model.temperature_of", lambda folder: 2.5)
    opened = load_run(run)
    _, plain = best_variables(opened.experiment, RunFolder(run), opened.mesh)
    expected = with_temperature(plain, 2.5, opened.experiment.model.map_channels)
    jax.tree.map(np.testing.assert_array_equal, opened.variables, expected)


def test_an_altered_rule_or_temperature_is_refused(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    temperature = (copy / "temperature.json").read_text()
    (copy / "temperature.json").write_text(temperature.replace("1", "2"))
    with pytest.raises(UserError, match=r"temperature\.json was altered"):
        load_run(copy)
    (copy / "temperature.json").unlink()
    with pytest.raises(UserError, match=r"temperature\.json is missing"):
        load_run(copy)
    (copy / "temperature.json").write_text(temperature)
    stored = json.loads((copy / "nucleus_rule.json").read_text())
    stored["rule"]["threshold"] = 0.123
    (copy / "nucleus_rule.json").write_text(json.dumps(stored))
    with pytest.raises(UserError, match=r"nucleus_rule\.json was altered"):
        load_run(copy).rule  # noqa: B018
    (copy / "nucleus_rule.json").unlink()
    with pytest.raises(UserError, match=r"nucleus_rule\.json is missing"):
        load_run(copy).rule  # noqa: B018


def test_a_model_folder_has_the_maps_and_the_tuned_rule(run, tmp_path):
    export_folder(run, tmp_path / "model", dtype="float16")
    before, after = load_run(run), load_run(tmp_path / "model")
    assert after.rule == before.rule
    assert after.experiment.head.maps == before.experiment.head.maps != ()
    scores = read_model_folder(tmp_path / "model").facts.scores["instances"]
    assert scores == json.loads((run / "results.json").read_text())["test"]["instances"]


def test_what_is_predicted_is_what_is_scored(run):
    """Of a patch of the test split: as many nuclei as were counted, each with a class and its probability."""
    opened = load_run(run)
    plan = read_experiment_file(RunFolder(run).config).plan()
    data = plan.read(["test"])
    patches = data.patches.take(data.rows("test"))
    predicted = 0
    for image in patches.image:
        prediction = opened.predict(image)
        predicted += int(prediction.nuclei.max())
        table = prediction.table
        assert len(table["nucleus"]) == prediction.nuclei.max()
        assert set(table["class"]) <= set(opened.info.class_names)
        assert ((table["class_probability"] > 0) & (table["class_probability"] <= 1)).all()
    counted = json.loads((run / "results.json").read_text())["test"]["instances"]["nuclei"]["predicted"]
    # Another program: a pixel at the threshold may fall on either side.
    assert predicted == pytest.approx(counted, rel=0.02, abs=2)


@pytest.mark.parametrize("with_classes", [True, False])
def test_the_truth_as_somebodys_prediction_scores_1(run, command_line, tmp_path, with_classes):
    plan = read_experiment_file(RunFolder(run).config).plan()
    data = plan.read(["test"])
    patches = data.patches.take(data.rows("test"))
    folder = tmp_path / "given"
    folder.mkdir()
    for fold, row, instance, label in zip(
        patches.fold, patches.index, patches.instance, patches.label, strict=True
    ):
        np.save(folder / f"{fold}_{row}.instance.npy", instance)
        if with_classes:
            np.save(folder / f"{fold}_{row}.class.npy", label)
    status, out, err = command_line.run(
        *("evaluate", *command_line.config, f"--predictions={folder}", f"--out={tmp_path / 'out'}")
    )
    assert status == 0, err
    entry = json.loads((tmp_path / "out" / "instances.json").read_text())["test"]["instances"]
    assert entry["pooled"]["bpq"] == pytest.approx(1, abs=1e-6)
    assert ("mpq" in entry["image"]) == with_classes
    lines = (tmp_path / "out" / "nuclei.csv").read_text().splitlines()
    assert len(lines) == 1 + entry["nuclei"]["truth"]
    assert f"{entry['nuclei']['truth']:,} nuclei annotated, {entry['nuclei']['truth']:,} predicted" in out
    next(folder.glob("*.instance.npy")).unlink()
    status, _, err = command_line.run("evaluate", *command_line.config, f"--predictions={folder}")
    assert status == 2
    assert "instance" in err
    assert "Traceback" not in err


def test_a_stopped_prediction_finds_the_same_nuclei(run, tmp_path, monkeypatch):
    """Maps wait on the disk with the rows that are finished, and are gone from what is published."""
    image = np.concatenate([paint_patch(0, 1, index).image for index in (10, 11)])[:300, :230]
    tifffile.imwrite(tmp_path / "field.tif", image, photometric="rgb")
    settings = PredictSettings(microns_per_px=None, tile_px=64, overlap_px=32, rule=None)

    def start(out):
        return predict(run, [str(tmp_path / "field.tif")], out, settings, batch_size=8)

    assert start(tmp_path / "whole") == 0
    write, written = write_images.write_journal, []

    def stop(path, journal):
        write(path, journal)
        written.append(journal.rows_done)
        if len(written) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(write_images, "write_journal", stop)
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path / "stopped")
    unfinished = zarr.open_group(tmp_path / "stopped" / ".field.probability.unfinished", mode="r")
    assert {"maps", "class_levels"} <= set(unfinished.array_keys())
    assert start(tmp_path / "stopped") == 0
    assert contents(tmp_path / "stopped", "field") == contents(tmp_path / "whole", "field")
    published = zarr.open_group(tmp_path / "stopped" / "field.probability.zarr", mode="r")
    assert set(published.array_keys()) == {"probability", "nucleus", "class"}
    header = (tmp_path / "whole" / "field.nuclei.csv").read_text().splitlines()[0]
    assert header.endswith(",class_probability")
