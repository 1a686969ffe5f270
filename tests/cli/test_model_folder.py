"""A model folder stands for its run wherever images are predicted or scored, and damage to it is named."""

import hashlib
import json
import pathlib
import re
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image

from nucseg_jax import load_run
from nucseg_jax.cli.export import beside, export
from nucseg_jax.cli.export_folder import export_folder
from nucseg_jax.cli.first_weights import weights_of_run
from nucseg_jax.cli.main import run as run_command
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.seal import sealed
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.model_folder import named
from nucseg_jax.model_folder.folder import read_model_folder
from nucseg_jax.model_folder.stored_weights import named_arrays

LICENCE = "CC BY-NC-SA 4.0"


@pytest.fixture(scope="module")
def model(finished_run, tmp_path_factory) -> pathlib.Path:
    """A model folder with float16 weights."""
    folder = tmp_path_factory.mktemp("models") / "small"
    export_folder(finished_run, folder, dtype="float16", licence=LICENCE)
    return folder


@pytest.fixture
def installed(model, monkeypatch, tmp_path) -> str:
    """The name of a model of the installation."""
    monkeypatch.setattr(named, "models_folder", lambda: model.parent)
    monkeypatch.chdir(tmp_path)
    return model.name


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return paint_patch(0, 1, 10).image[:96, :128]


def test_float32_predicts_what_the_run_predicts(finished_run, image, tmp_path, capsys):
    export_folder(finished_run, tmp_path / "whole", dtype="float32")
    out = capsys.readouterr().out
    assert "2 test patches: largest difference of an output 0.0e+00" in out
    run, written = load_run(finished_run), load_run(tmp_path / "whole")
    assert written.digest() == run.digest()
    before, after = (each.predict(image, tile_px=64, overlap_px=32) for each in (run, written))
    np.testing.assert_array_equal(before.probability, after.probability)
    np.testing.assert_array_equal(before.nuclei, after.nuclei)
    # The data set's licence where no other is given.
    assert "NonCommercial" in written.licence


def test_it_holds_no_more_than_predicting_and_scoring_need(finished_run, model):
    names = {"model.json", "weights.npz", "seen.json", "README.md", "run.json"}
    assert {path.name for path in model.iterdir()} == names
    size = sum(array.size for array in named_arrays(load_run(finished_run).variables).values())
    assert (model / "weights.npz").stat().st_size < 2.2 * size + 100_000
    assert str(finished_run) not in (model / "model.json").read_text()
    facts = read_model_folder(model).facts
    results = json.loads((finished_run / "results.json").read_text())
    assert facts.scores["micro"] == results["test"]["micro"]
    assert facts.scores["patches"] == 5


def test_predict_takes_it_by_name_and_names_its_licence_first(installed, image, tmp_path, capsys):
    Image.fromarray(image).save(tmp_path / "a.png")
    flags = [f"--inputs={tmp_path / 'a.png'}", f"--out={tmp_path / 'out'}", "--tile_px=64"]
    assert run_command(["predict", f"--model={installed}", *flags]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("model small, trained on PanNuke at 0.25 microns per pixel;")
    assert first.endswith(LICENCE)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["run"], summary["licence"]) == ("small", LICENCE)
    nuclei = load_run(installed).predict(image, tile_px=64).nuclei.max()
    assert summary["images"][0]["nuclei"] == nuclei


def test_models_lists_it_with_scores_licence_and_card(installed, model, capsys):
    assert run_command(["models"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("small\n")
    for part in ("0.25 microns", "test Dice (micro) 0.", LICENCE, str(model / "README.md")):
        assert part in out


def test_evaluate_gives_the_scores_of_the_run_and_refuses_patches_it_was_trained_on(
    installed, finished_run, command_line, tmp_path, capsys
):
    flags = ["evaluate", f"--model={installed}", *command_line.config[:2]]
    assert run_command([*flags, "--split=test", f"--out={tmp_path / 'scores'}", "--instances"]) == 0
    found = json.loads((tmp_path / "scores" / "results.json").read_text())
    expected = json.loads((finished_run / "results.json").read_text())["test"]["micro"]["dice"]
    assert found["test"]["micro"]["dice"] == pytest.approx(expected, abs=2e-3)
    assert found["about"]["licence"] == LICENCE
    assert "nucleus_rule" in found["about"]
    assert (tmp_path / "scores" / "per_image_instances.csv").exists()
    capsys.readouterr()
    assert run_command([*flags, "--split=train"]) == 2
    assert "small was trained on 5 of the 5 patches" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "--model=small", "--workdir=x", "--inputs=a", "--out=b"], "both given"),
        (["predict", "--model=tiny", "--inputs=a", "--out=b"], "there is no model 'tiny'"),
        (["evaluate", "--model=small"], "--model needs --config"),
        (["evaluate", "--workdir=small"], "there is no run folder small"),
        (["export", "--model=small", "--format=folder", "--out=b"], "needs --workdir"),
        (["export", "--model=small", "--dtype=float16", "--out=b"], "goes with --format=folder"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(installed, arguments, message, capsys):
    assert run_command(arguments) == 2
    assert message in capsys.readouterr().err


def test_it_is_no_run_folder(model, command_line, tmp_path, capsys):
    for arguments in (
        ["evaluate", f"--workdir={model}"],
        ["robustness", f"--workdir={model}"],
        ["report", f"--runs={model}", f"--out={tmp_path / 'report'}"],
    ):
        assert run_command(arguments) == 2
        assert f"{model} is a model folder" in capsys.readouterr().err
    with pytest.raises(UserError, match="is a model folder"):
        weights_of_run(None, model, None)
    with pytest.raises(UserError, match="is a model folder"):
        export_folder(model, tmp_path / "again", dtype="float32")


def test_a_program_is_exported_of_it_too(model, tmp_path, capsys):
    """Beside it lie the names of its channels, its digest and a card, which holds that of the model."""
    out = tmp_path / "new" / "model.stablehlo"
    export(str(model), out, notes="first try")
    assert "differs from the model by" in capsys.readouterr().out
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert beside(out, "sha256").read_text() == f"{digest}  {out.name}\n"
    names = json.loads(beside(out, "json").read_text())
    assert (names["sha256"], names["bytes"]) == (digest, out.stat().st_size)
    card = beside(out, "md").read_text()
    for text in (digest, f"| licence of the weights | {LICENCE} |", "first try", f"### {model.name}"):
        assert text in card
    assert len(list(out.parent.iterdir())) == 4


@pytest.mark.parametrize("name", ["weights.npz", "model.json", "seen.json", "README.md", "run.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_to_any_file_is_named(model, tmp_path, name, damage):
    copy = shutil.copytree(model, tmp_path / "copy")
    content = bytearray((copy / name).read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content[: -7 if damage == "cut" else None])
    if damage == "remove":
        (copy / name).unlink()
    with pytest.raises(UserError, match=re.escape(name)) as caught:
        load_run(copy)
    assert str(copy) in str(caught.value)


def test_weights_of_another_model_under_a_good_seal_are_refused(model, tmp_path):
    copy = shutil.copytree(model, tmp_path / "copy")
    values = json.loads((copy / "model.json").read_text())
    values.pop("sha256")
    values["config"]["model"]["width"] = 0.25
    (copy / "model.json").write_text(json.dumps(sealed(values)))
    with pytest.raises(UserError, match=r"weights\.npz is damaged: .*not those of the model"):
        load_run(copy)


def test_line_ends_of_its_texts_do_not_count(model, tmp_path):
    copy = shutil.copytree(model, tmp_path / "copy")
    for name in ("README.md", "model.json", "seen.json"):
        (copy / name).write_bytes((copy / name).read_bytes().replace(b"\n", b"\r\n"))
    load_run(copy)


def test_only_a_model_folder_is_replaced(finished_run, model, tmp_path):
    (tmp_path / "card.md").write_text("# Mine\n")
    own = shutil.copytree(model, tmp_path / "own")
    export_folder(finished_run, own, dtype="float16", card=tmp_path / "card.md")
    assert (own / "README.md").read_text() == "# Mine\n"
    (own / "notes.txt").write_text("mine")
    for out, message in (
        (own, "notes.txt"),
        (finished_run, "holds other files"),
        (tmp_path / "card.md", "file"),
    ):
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        with pytest.raises(UserError, match=message):
            export_folder(finished_run, out, dtype="float16")
        assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="card"):
        export_folder(finished_run, tmp_path / "new", dtype="float16", card=tmp_path / "none.md")
    assert not (tmp_path / "new").exists()


def test_a_model_that_rounding_changes_too_much_is_not_written(finished_run, tmp_path, monkeypatch):
    monkeypatch.setattr("nucseg_jax.cli.export_folder._LARGEST_MEAN", 1e-9)
    with pytest.raises(UserError, match="--dtype=float32"):
        export_folder(finished_run, tmp_path / "new", dtype="float16")
    assert list(tmp_path.iterdir()) == []


def test_the_weights_of_a_model_and_a_run_in_one_folder_are_refused(finished_run, model, tmp_path):
    both = shutil.copytree(finished_run, tmp_path / "both")
    shutil.copy(model / "model.json", both)
    with pytest.raises(UserError, match=r"both model\.json and config\.json"):
        load_run(both)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_run(model).path == model
