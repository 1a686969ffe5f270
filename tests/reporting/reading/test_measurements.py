"""Measurements are matched to runs by what they hold; what is damaged, unfinished or foreign is named in one line."""

import json
import pathlib
import shutil

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.core.seal import sealed
from nucseg_jax.reporting.reading.find import find_runs
from nucseg_jax.reporting.reading.read_run import read_run
from nucseg_jax.reporting.reading.robustness import mismatch, with_measurements_of
from nucseg_jax.run_folder.record import RunRecord
from tests.reporting.measurements_of_runs import record_of, write_robustness


@pytest.fixture(scope="module")
def measured(make_run, tmp_path_factory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("measured")
    run = make_run(root / "run", complete=False)
    write_robustness(run)
    make_run(root / "other", {"train.seed": 1}, complete=False)
    return root


@pytest.fixture
def copy(measured, tmp_path) -> tuple[pathlib.Path, pathlib.Path]:
    """A copy of the run, and of the measurement in it."""
    run = tmp_path / "moved"
    shutil.copytree(measured / "run", run)
    (folder,) = (run / "robustness").iterdir()
    return run, folder


def test_a_run_that_moved_has_its_measurement(copy):
    run = read_run(copy[0])
    assert run.faults == ()
    assert [each.folder for each in run.measurements] == [copy[1]]


def reseal(path: pathlib.Path, **changes) -> None:
    values = json.loads(path.read_text())
    del values["sha256"]
    write_json(path, sealed({**values, **changes}))


DAMAGES = {
    "unfinished: it has no summary.json; rerun": lambda folder: (folder / "summary.json").unlink(),
    "holds no robustness measurement": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
    "summary.json is damaged: ": lambda folder: (folder / "summary.json").write_text('{"format": 1,'),
    "summary.json is damaged: it does not match its own SHA-256": lambda folder: (
        folder / "summary.json"
    ).write_text((folder / "summary.json").read_text().replace('"images": 24', '"images": 25')),
    "summary.json is of another version of this package (format 2": lambda folder: reseal(
        folder / "summary.json", format=2
    ),
    "summary.json is of another version of this package (format None": lambda folder: (
        folder / "summary.json"
    ).write_text('{"split": "test", "corruptions": {}}'),
    "summary.json is damaged: 'means' is missing": lambda folder: write_json(
        folder / "summary.json",
        sealed(
            {
                name: value
                for name, value in json.loads((folder / "summary.json").read_text()).items()
                if name not in ("means", "sha256")
            }
        ),
    ),
    "cells.csv was altered since": lambda folder: (folder / "cells.csv").write_text("model\n"),
    "strips/jpeg.png is missing": lambda folder: (folder / "strips" / "jpeg.png").unlink(),
    "summary.json is damaged: it is no object": lambda folder: (folder / "summary.json").write_text("[]"),
    "it names kinds that this version does not have": lambda folder: reseal(
        folder / "summary.json",
        about={**json.loads((folder / "summary.json").read_text())["about"], "kinds": ["rain"]},
    ),
}


@pytest.mark.parametrize("words", DAMAGES)
def test_a_measurement_that_cannot_be_used_is_one_line_and_the_run_is_whole(words, copy, tmp_path):
    run, folder = copy
    DAMAGES[words](folder)
    found = read_run(run)
    assert found.measurements == ()
    (fault,) = found.faults
    assert fault.startswith(f"robustness/{folder.name}: ")
    assert words in fault
    assert "\n" not in fault
    assert found.results is not None
    with pytest.raises(UserError) as error:
        with_measurements_of([folder], [found])
    assert words in str(error.value)


def test_a_measurement_of_another_run_is_a_fault_of_the_run_that_holds_it(copy, measured):
    folder = copy[1]
    shutil.copytree(folder, measured / "other" / "robustness" / folder.name)
    found = read_run(measured / "other")
    shutil.rmtree(measured / "other" / "robustness")
    assert found.measurements == ()
    assert found.faults[0].endswith("it is of another run: train.seed: 0 -> 1")


def test_a_measurement_elsewhere_finds_its_run_and_counts_once(copy, measured, tmp_path):
    run, folder = copy
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    runs = [read_run(measured / "other"), read_run(run)]
    other, own = with_measurements_of([elsewhere, elsewhere], runs)
    assert other.measurements == ()
    assert [each.folder for each in own.measurements] == [elsewhere]
    # One that lies in the run is that one, though it was copied.
    (_, again) = with_measurements_of([elsewhere], [runs[0], read_run(measured / "run")])
    assert len(again.measurements) == 1


def test_a_copy_of_a_run_gives_its_measurement_to_the_original(copy, make_run, tmp_path):
    original = make_run(tmp_path / "a_run", complete=False)
    (run,) = find_runs(f"{original},{copy[0]}", not_in=tmp_path / "report").runs
    assert run.path == original
    assert [each.folder for each in run.measurements] == [copy[1]]


def test_one_that_belongs_to_no_run_or_is_no_folder_is_one_clear_error(copy, measured):
    with pytest.raises(UserError, match=r"belongs to no run of this report.*seed 0.*train\.seed: 0 -> 1"):
        with_measurements_of([copy[1]], [read_run(measured / "other")])
    with pytest.raises(UserError, match=r"--robustness=nowhere is no folder"):
        with_measurements_of([pathlib.Path("nowhere")], [read_run(measured / "run")])


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({40: 0.7, 50: 0.8}, ""),
        ({40: 0.7, 50: 0.8, 60: 0.75}, ""),
        ({40: 0.7, 50: 0.8, 60: 0.8}, "of the checkpoint of step 50, and the run's best is that of step 60"),
        ({40: 0.7, 50: 0.81}, "of another run: Dice in validation at step 50: 0.8 -> 0.81"),
    ],
)
def test_the_record_tells_repeated_runs_and_better_checkpoints(scores, words, copy):
    run = read_run(copy[0])
    (found,) = run.measurements
    record = {**record_of(copy[0]), "scores": {"40": 0.7, "50": 0.8}}
    measurement = type(found)(**{**vars(found), "about": {**found.about, "run": record}})
    newest = RunRecord.from_json(
        {**record, "scores": {str(step): score for step, score in scores.items()}},
        source="the record",
        step=0,
        is_sealed=True,
    )
    known = type(run)(**{**vars(run), "record": newest})
    assert words in mismatch(measurement, known)
    assert bool(words) == bool(mismatch(measurement, known))
