"""Files for other programs: what lies beside them, and what is refused before anything is computed."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from nucseg_jax.cli import export_writers
from nucseg_jax.cli.export import export
from nucseg_jax.cli.export_card import ProgramFacts, demoted, program_card
from nucseg_jax.cli.exported_run import facts_of
from nucseg_jax.cli.main import run as run_command
from nucseg_jax.evaluation.per_image import per_image_path, read_per_image
from nucseg_jax.inference.export_bioimage import citations, name_of, rdf
from nucseg_jax.load import load_run
from nucseg_jax.model_folder.folder import read_model_folder
from nucseg_jax.run_folder.check import read_results
from nucseg_jax.run_folder.folder import RunFolder

PROGRAM = ProgramFacts("m.onnx", "ONNX", {"input": "`image`"}, "import onnxruntime", "ab" * 32, "not at all")


@pytest.fixture(scope="module")
def run(finished_run):
    return load_run(finished_run)


@pytest.mark.parametrize("found", [0.5, np.nan])
def test_nothing_is_left_where_the_file_differs_from_the_model(found, finished_run, tmp_path, monkeypatch):
    def outputs(value):
        return lambda image: np.full((*image.shape[:3], 1), value, np.float32)

    def write(job, path):
        path.write_bytes(b"another program")
        export_writers.compare(job, lambda path: outputs(found), path)
        raise AssertionError("it was taken for the model")

    monkeypatch.setattr(export_writers, "model_of_dtype", lambda job, dtype: outputs(0.5002))
    monkeypatch.setitem(export_writers.WRITERS, "onnx", write)
    with pytest.raises(RuntimeError, match="nothing was written"):
        export(finished_run, tmp_path / "model.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_card_of_a_run_has_its_scores_with_intervals_around_them(run, finished_run):
    card = program_card(run, facts_of(run), PROGRAM)
    scores = read_results(RunFolder(finished_run))["test"]
    for convention, metric in (("micro", "dice"), ("micro", "iou")):
        (found,) = re.findall(
            rf"\| {metric} \| `{convention}`: [^|]+ \| ([.\d]+) \| ([.\d]+) to ([.\d]+) \|", card
        )
        estimate, low, high = map(float, found)
        assert low <= estimate <= high
        assert estimate == pytest.approx(scores[convention][metric], abs=1e-4)
    counts, _ = read_per_image(per_image_path(finished_run, "test"), run.info)
    assert f"on {len(counts.counts)} images" in card
    assert run.info.name in card
    assert f"{run.info.microns_per_px:g} microns per pixel" in card
    assert PROGRAM.sha256 in card
    assert "Not measured." in card


def test_a_measurement_that_cannot_be_used_is_named(run, finished_run, tmp_path):
    copy = shutil.copytree(finished_run, tmp_path / "run")
    broken = RunFolder(copy).robustness / "test-1"
    broken.mkdir(parents=True)
    (broken / "summary.json").write_text("{")
    card = program_card(dataclasses.replace(run, path=copy), facts_of(run), PROGRAM)
    assert "`test-1`, cannot be used" in card


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_card_of_a_model_has_the_models_own(is_packed, tmp_path):
    model = load_run("small")
    if is_packed:
        read_model_folder(model.path).pack(tmp_path / "small.zip")
        model = load_run(tmp_path / "small.zip")
    card = program_card(model, facts_of(model), PROGRAM)
    assert "### small" in card
    assert "#### Where it fails" in card
    assert "| licence of the weights | CC BY-NC-SA 4.0" in card


def test_headings_in_code_are_none():
    assert demoted("# a\n```\n# b\n```\n## c") == "### a\n```\n# b\n```\n#### c"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format=onnx", "--dtype=float16"], "--dtype goes with --format=folder"),
        (["--format=torchscript", "--card=a.md"], "--card goes with --format=folder"),
        (["--format=bioimageio"], "--format=bioimageio needs --authors"),
        (["--format=onnx", "--authors=A"], "--authors goes with --format=bioimageio"),
        (["--format=keras"], "'keras' is not one of"),
    ],
)
def test_flags_that_do_not_fit_the_format_are_refused(arguments, message, capsys):
    assert run_command(["export", "--model=small", *arguments, "--out=x"]) == 2
    assert message in capsys.readouterr().err


def described(run, **changes):
    facts = dataclasses.replace(facts_of(run), **changes)
    files = ("README.md", "cover.png", "weights.onnx", "weights.pt")
    tensors = [f"test_{name}.npy" for name in ("image", "probability", "distance")]
    return rdf(
        facts,
        stride=16,
        classes=("nucleus",),
        maps=("distance",),
        authors=("A", "B"),
        digests={name: f"digest of {name}" for name in (*files, *tensors)},
        torch_version="2.6.0",
    )


def test_a_bioimageio_description_names_tensors_scale_and_files(run):
    found = described(run, licence="CC BY 4.0")
    assert [author["name"] for author in found["authors"]] == ["A", "B"]
    assert found["license"] == "CC-BY-4.0"
    assert [each["id"] for each in found["outputs"]] == ["probability", "distance"]
    (image,) = found["inputs"]
    batch, channel, y, x = image["axes"]
    assert (batch["type"], channel["channel_names"]) == ("batch", ["red", "green", "blue"])
    for axis in (y, x):
        assert axis["scale"] == run.info.microns_per_px
        assert axis["size"] == {"min": 64, "step": 16}
    for each in (image, *found["outputs"]):
        name = each["test_tensor"]["source"]
        assert each["test_tensor"]["sha256"] == f"digest of {name}"
    assert found["weights"]["onnx"]["parent"] == "torchscript"
    json.dumps(found, allow_nan=False)


def test_a_licence_without_an_identifier_is_not_given_one(run):
    found = described(run, licence="ask us\nfirst")
    assert "license" not in found
    assert found["config"]["nucseg_jax"]["licence"] == "ask us\nfirst"


def test_a_citation_needs_something_to_follow(run):
    facts = facts_of(run)

    def cited(citation):
        info = dataclasses.replace(facts.info, citation=citation)
        return citations(dataclasses.replace(facts, info=info))

    papers = cited("")
    assert len(papers) >= 2
    assert all(each["url"].startswith("https://") for each in papers)
    assert cited("A book.") == papers
    assert cited("B (arXiv:2003.10778)")[-1]["url"] == "https://arxiv.org/abs/2003.10778"
    assert cited("A, doi:10.1109/TMI.2017.2677499.")[-1]["doi"] == "10.1109/TMI.2017.2677499"


def test_a_name_has_only_characters_that_are_allowed(run):
    facts = facts_of(run)
    odd = dataclasses.replace(facts, info=dataclasses.replace(facts.info, name="Ä/ä: " * 40))
    assert re.fullmatch(r"[A-Za-z0-9_+\- ()]{5,64}", name_of(odd))
    assert np.unique([name_of(facts), name_of(odd)]).size == 2
