"""`formats`: what is left alone, what is made again, and one clear error for each fault."""

import gzip
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile

from nucseg_jax.cli.main import run
from nucseg_jax.core.files import HALF_WRITTEN, temporary_path
from nucseg_jax.inference.formats import geojson_gz
from nucseg_jax.inference.formats.table import FORMATS
from tests.conftest import ROOT
from tests.inference.formats.predicted_folder import blobs, predicted


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> pathlib.Path:
    """A folder that `predict` finished, of two images; no test changes it."""
    return predicted(
        tmp_path_factory.mktemp("original") / "nuclei",
        {"a.png": blobs(100, 120), "b.png": blobs(70, 80, seed=1)},
    )


@pytest.fixture
def nuclei(original, tmp_path) -> pathlib.Path:
    return shutil.copytree(original, tmp_path / "nuclei")


def formats(nuclei: pathlib.Path, names: str, *flags: str) -> int:
    return run(["formats", f"--nuclei={nuclei}", f"--formats={names}", *flags])


def state(folder: pathlib.Path, ending: str) -> dict[str, int]:
    """When the files of a folder, but hidden ones, were last written."""
    found = [path for path in folder.glob(f"*.{ending}") if not path.name.startswith(".")]
    return {path.name: path.stat().st_mtime_ns for path in found}


def test_files_stand_beside_the_others_and_the_second_time_nothing_is_written(nuclei, capsys):
    before = {path.name for path in nuclei.iterdir()}
    assert formats(nuclei, "labels,geojson_gz") == 0
    new = {f"{stem}.{ending}" for stem in "ab" for ending in ("labels.ome.tif", "geojson.gz")}
    journals = {f".{stem}.formats.json" for stem in "ab"}
    assert {path.name for path in nuclei.iterdir()} - before == new | journals | {".lock"}
    assert "4 files of 2 images" in capsys.readouterr().out
    times = state(nuclei, "*")
    assert formats(nuclei, "labels,geojson_gz") == 0
    assert "0 files of 2 images" in capsys.readouterr().out
    assert state(nuclei, "*") == times


def test_a_damaged_file_another_option_and_another_input_are_made_again(nuclei):
    assert formats(nuclei, "labels,geojson_gz") == 0
    whole, first = (nuclei / "a.geojson.gz").read_bytes(), state(nuclei, "*")
    (nuclei / "a.geojson.gz").write_bytes(whole[:-9])
    (nuclei / "b.labels.ome.tif").unlink()
    assert formats(nuclei, "labels,geojson_gz") == 0
    second = state(nuclei, "*")
    assert {name for name in first if first[name] != second[name]} == {"a.geojson.gz", "b.labels.ome.tif"}
    assert (nuclei / "a.geojson.gz").read_bytes() == whole
    assert formats(nuclei, "labels,geojson_gz", "--simplify_px=1") == 0
    third = state(nuclei, "*")
    assert {name for name in first if second[name] != third[name]} == {"a.geojson.gz", "b.geojson.gz"}
    # `predict` writes another image under the name of one.
    predicted(nuclei, {"a.png": blobs(100, 120), "b.png": blobs(90, 60, seed=2)})
    assert formats(nuclei, "labels,geojson_gz", "--simplify_px=1") == 0
    fourth = state(nuclei, "*")
    made_again = {name for name in first if third[name] != fourth[name] and name.endswith((".tif", ".gz"))}
    assert made_again == {"b.geojson.gz", "b.labels.ome.tif"}


def test_what_a_killed_process_left_is_no_obstacle(nuclei, monkeypatch):
    left = temporary_path(nuclei / "a.geojson.gz")
    left.write_bytes(b"half")

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(geojson_gz, "simplified", stop)
        assert formats(nuclei, "labels,geojson_gz", "--simplify_px=1") == 130
    assert not [path for path in nuclei.iterdir() if HALF_WRITTEN.fullmatch(path.name)]
    assert [path.name for path in nuclei.glob("*.gz")] == []
    assert formats(nuclei, "labels,geojson_gz", "--simplify_px=1") == 0
    assert len(list(nuclei.glob("*.gz"))) == 2


def test_another_folder_gets_the_same_and_the_first_stays_as_it_was(nuclei, tmp_path):
    before = state(nuclei, "*")
    assert formats(nuclei, "geojson_gz", f"--out={tmp_path / 'other' / 'place'}") == 0
    assert state(nuclei, "*") == before
    content = gzip.decompress((tmp_path / "other" / "place" / "a.geojson.gz").read_bytes())
    assert content == (nuclei / "a.geojson").read_bytes()


def test_a_copy_without_hidden_files_serves_too(nuclei):
    for path in nuclei.glob(".*"):
        path.unlink()
    assert formats(nuclei, "labels") == 0


def spoil(nuclei: pathlib.Path, what: str) -> None:
    if what == "no folder":
        shutil.rmtree(nuclei)
    elif what == "no summary":
        (nuclei / "summary.json").unlink()
    elif what == "not json":
        (nuclei / "summary.json").write_text("{")
    elif what == "another json":
        (nuclei / "summary.json").write_text('{"classes": [], "images": [{"input": 3}]}')
    elif what == "no image":
        summary = json.loads((nuclei / "summary.json").read_text())
        (nuclei / "summary.json").write_text(json.dumps({**summary, "images": []}))
    elif what == "no table":
        (nuclei / "a.nuclei.parquet").unlink()
    elif what == "edited":
        path = nuclei / "a.geojson"
        path.write_text(path.read_text().replace("0.25", "0.26").replace("1.0", "1.5"))
    elif what == "begun again":
        (nuclei / ".a.journal.json").write_text("{}")
    elif what == "other outlines":
        for path in nuclei.glob(".*.journal.json"):
            path.unlink()
        shutil.copy(nuclei / "b.geojson", nuclei / "a.geojson")
    elif what == "damaged table":
        (nuclei / ".a.journal.json").unlink()
        (nuclei / "a.nuclei.parquet").write_bytes(b"PAR1")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no folder", "there is no folder"),
        ("no summary", "holds no summary.json"),
        ("not json", "summary.json cannot be read"),
        ("another json", "summary.json cannot be understood"),
        ("no image", "holds no finished image"),
        ("no table", "a.png is not finished: a.nuclei.parquet is missing"),
        ("edited", "a.png cannot be used: a.geojson changed"),
        ("begun again", "a.png is not finished: predict began it again"),
        ("other outlines", "the outputs of a.png"),
        ("damaged table", "the outputs of a.png"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_error_and_gets_no_file(what, message, nuclei, capsys):
    spoil(nuclei, what)
    assert formats(nuclei, "geoparquet") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in error
    assert not list(nuclei.glob("*.geo.parquet"))
    assert nuclei.exists() == (what != "no folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--formats=labels"], "formats needs --nuclei and --formats"),
        (["--nuclei=x", "--formats=lables"], "there is no format 'lables'; did you mean labels?"),
        (["--nuclei=x", "--formats=,"], "--formats names no format"),
        (["--nuclei=x", "--formats=geoparquet", "--simplify_px=-1"], "--simplify_px is -1"),
        (["--nuclei=x", "--formats=geoparquet", "--simplify_px=nan"], "--simplify_px is nan"),
        (["--nuclei=x", "--formats=labels", "--simplify_px=1"], "--simplify_px concerns outlines"),
    ],
)
def test_a_fault_of_a_flag_is_one_error(arguments, message, capsys):
    assert run(["formats", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--formats=lables"], "did you mean labels?"),
        (["--simplify_px=1"], "--simplify_px goes with --formats"),
    ],
)
def test_predict_refuses_a_fault_before_it_works(flags, message, capsys):
    assert run(["predict", "--workdir=runs/none", "--inputs=a.png", "--out=nuclei", *flags]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("failures", [0, 2])
def test_predict_writes_formats_when_its_images_are_finished(failures, tmp_path, monkeypatch):
    """Its status is still that of images that could not be read."""

    def predict(source, inputs, out, settings, **others):
        predicted(out, {"a.png": blobs(60, 70)})
        return failures

    monkeypatch.setattr("nucseg_jax.cli.predict.predict", predict)
    out = tmp_path / "nuclei"
    flags = [f"--workdir={tmp_path}", "--inputs=a.png", f"--out={out}"]
    assert run(["predict", *flags, "--formats=labels,geojson_gz", "--simplify_px=1"]) == bool(failures)
    assert (out / "a.labels.ome.tif").exists()
    simplified = len(gzip.decompress((out / "a.geojson.gz").read_bytes()))
    assert simplified < (out / "a.geojson").stat().st_size


def test_predict_without_a_finished_image_writes_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "nucseg_jax.cli.predict.predict", lambda source, inputs, out, *a, **b: len(predicted(out, {}).parts)
    )
    flags = [f"--workdir={tmp_path}", "--inputs=a.png", f"--out={tmp_path / 'nuclei'}", "--formats=labels"]
    assert run(["predict", *flags]) == 1
    assert capsys.readouterr().err == ""


def test_every_format_is_written_without_jax_and_its_numbers_agree(nuclei):
    """In a process of its own; afterwards each image has a file in each format, with as many nuclei as its table."""
    code = (
        "import sys; from nucseg_jax.cli.main import run; status = run(sys.argv[1:]);"
        " loaded = {'jax', 'flax', 'tensorflow'} & {name.partition('.')[0] for name in sys.modules};"
        " assert not loaded, loaded; sys.exit(status)"
    )
    arguments = ["formats", f"--nuclei={nuclei}", f"--formats={','.join(FORMATS)}"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    for form in FORMATS.values():
        assert {path.name for path in nuclei.glob(f"?.{form.ending}")} == {
            f"{stem}.{form.ending}" for stem in "ab"
        }
    for stem in "ab":
        count = pq.read_metadata(nuclei / f"{stem}.nuclei.parquet").num_rows
        assert count > 5
        numbers = np.unique(tifffile.imread(nuclei / f"{stem}.labels.ome.tif"))
        assert numbers.tolist() == list(range(count + 1))
        assert pq.read_metadata(nuclei / f"{stem}.geo.parquet").num_rows == count
        assert len(json.loads((nuclei / f"{stem}.coco.json").read_text())["annotations"]) == count
        features = json.loads(gzip.decompress((nuclei / f"{stem}.geojson.gz").read_bytes()))["features"]
        assert len(features) == count
