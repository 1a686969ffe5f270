"""`robustness` on a small run: its files, what it shares with `evaluate`, resuming, comparing, and what it refuses."""

import csv
import json
import pathlib
import shutil
import signal
import time

import pytest

from nucseg_jax.run_folder.check import best_checkpoint, final_record, require_config
from nucseg_jax.run_folder.folder import RunFolder

KINDS = "--kinds=noise,jpeg"


def files_of(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def rows_of(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(command_line, finished_run, tmp_path_factory) -> pathlib.Path:
    """The --out of a command that was never interrupted; what it printed lies beside it."""
    out = tmp_path_factory.mktemp("robustness") / "whole"
    status, printed, err = command_line.run(
        *("robustness", f"--workdir={finished_run}", f"--baseline={finished_run}", KINDS),
        *(f"--data={command_line.data_dir}", "--force", f"--out={out}"),
    )
    assert status == 0, err
    out.with_suffix(".txt").write_text(printed)
    return out


def test_the_clean_row_is_what_evaluate_scores(finished, finished_run):
    trained = json.loads((finished_run / "results.json").read_text())["test"]
    clean = rows_of(finished / "cells.csv")[0]
    assert clean["kind"] == "clean"
    for column, (convention, metric) in {
        "dice_micro": ("micro", "dice"),
        "iou_image": ("image_skip", "iou"),
    }.items():
        assert clean[column] == f"{trained[convention][metric]:.6f}"
    own = rows_of(finished_run / "per_image_test.csv")
    images = rows_of(finished / "per_image.csv")[: len(own)]
    assert [[row[name] for name in ("fold", "row", "tp", "fp")] for row in images] == [
        [row[name] for name in ("fold", "row", "nucleus_tp", "nucleus_fp")] for row in own
    ]


def test_every_cell_has_a_row_and_every_kind_a_strip(finished):
    rows = rows_of(finished / "cells.csv")
    own = [(row["kind"], row["severity"]) for row in rows if row["model"] == "run" and row["data"] == "test"]
    # In the order of the table, whatever the order of --kinds.
    assert own == [("clean", "0"), *((kind, str(s)) for kind in ("jpeg", "noise") for s in range(1, 6))]
    assert len(rows) == 2 * (len(own) + 1)
    assert {path.name for path in (finished / "strips").iterdir()} == {"jpeg.png", "noise.png"}


def test_a_run_is_as_good_as_itself_and_other_data_have_a_row(finished, command_line):
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["corruptions"]["mce"]["estimate"] == 1
    assert all(entry["estimate"] == 0 for entry in summary["corruptions"]["difference"].values())
    (shift,) = summary["shifts"].values()
    assert 0 < shift["run"]["clean"]["estimate"] < 1
    others = [row for row in rows_of(finished / "cells.csv") if row["data"] == str(command_line.data_dir)]
    assert [(row["model"], row["images"]) for row in others] == [("run", "15"), ("baseline", "15")]
    printed = finished.with_suffix(".txt").read_text()
    assert "worst kind: " in printed
    assert "mCE" in printed


def test_a_killed_command_is_resumed_to_the_same_bytes(finished, finished_run, command_line, tmp_path):
    out = tmp_path / "killed"
    arguments = (
        *("robustness", f"--workdir={finished_run}", f"--baseline={finished_run}", KINDS),
        *(f"--data={command_line.data_dir}", "--force", f"--out={out}"),
    )
    process = command_line.start(*arguments)
    first = out / "scores" / "run" / "corrupted" / "jpeg_1.json"
    while process.poll() is None and not first.exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = {path: path.stat().st_mtime_ns for path in (out / "scores").rglob("*.json")}
    assert first in kept
    assert not (out / "summary.json").exists()
    status, _, err = command_line.run(*arguments)
    assert status == 0, err
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    found = {name: content for name, content in files_of(out).items() if not name.endswith(".part")}
    assert found == files_of(finished)


@pytest.fixture(scope="module")
def measured_run(finished, finished_run, command_line, tmp_path_factory) -> pathlib.Path:
    """A copy of the run, as one that moved, measured into its own folder, where finished cells waited."""
    run = tmp_path_factory.mktemp("moved") / "whole"
    shutil.copytree(finished_run, run)
    about = json.loads((finished / "summary.json").read_text())["about"]
    split = json.loads((run / "split.json").read_text())
    name = f"test-{about['data_digest'][:8]}-{split['digest'][:8]}-step{about['checkpoint_step']}"
    shutil.copytree(finished / "scores", run / "robustness" / name / "scores")
    shutil.copytree(finished / "strips", run / "robustness" / name / "strips")
    status, printed, err = command_line.run(
        *("robustness", f"--workdir={run}", f"--baseline={finished_run}", KINDS),
        *(f"--data={command_line.data_dir}", "--force"),
    )
    assert status == 0, err
    assert "to score" not in printed
    assert printed.splitlines()[-1] == f"written to {run / 'robustness' / name}"
    return run


def test_without_out_the_run_keeps_its_measurement_and_is_used_as_before(
    measured_run, finished, finished_run, command_line
):
    (folder,) = (measured_run / "robustness").iterdir()
    assert files_of(folder) == files_of(finished)
    before = files_of(measured_run)
    # The run is finished: rerun, it says so; what opens it finds it as it was.
    status, _, err = command_line.train(measured_run)
    assert status == 0, err
    moved, original = RunFolder(measured_run), RunFolder(finished_run)
    require_config(moved)
    assert final_record(moved) == final_record(original)
    assert best_checkpoint(moved)[0].values == best_checkpoint(original)[0].values
    assert {name: content for name, content in files_of(measured_run).items() if name in before} == before


def test_the_report_finds_the_measurement_of_a_run_wherever_it_lies(
    measured_run, finished, finished_run, command_line, tmp_path
):
    tables = []
    for name, run, more in (
        ("inside", measured_run, []),
        ("elsewhere", finished_run, [f"--robustness={finished}"]),
    ):
        out = tmp_path / name
        status, printed, err = command_line.run("report", f"--runs={run}", f"--out={out}", *more)
        assert status == 0, err
        assert "robustness" not in printed
        tables.append((out / "tables" / "robustness.csv").read_text())
        assert "<details>" in (out / "report.html").read_text()
    assert tables[0] == tables[1]
    summary = json.loads((finished / "summary.json").read_text())
    assert str(summary["corruptions"]["run"]["clean"]["estimate"]) in tables[0]


def test_another_run_split_or_package_is_refused_in_the_same_out(
    finished, finished_run, command_line, tmp_path
):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    before = files_of(out)
    status, _, err = command_line.run(
        *("robustness", f"--workdir={finished_run}", "--split=validation", "--force", KINDS, f"--out={out}")
    )
    assert status == 2
    assert (
        "holds cells of another run, split, number of views or package: split: 'test' -> 'validation'" in err
    )
    assert files_of(out) == before
    status, _, err = command_line.run(
        *("robustness", f"--workdir={finished_run}", "--views=8", KINDS, f"--out={out}")
    )
    assert status == 2
    assert "views: 1 -> 8" in err
    assert files_of(out) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kinds=nois"], "there is no kind 'nois'; did you mean noise"),
        (["--kinds=,"], "--kinds is empty"),
        (["--workdir=runs/none"], "there is no run folder runs/none"),
        (["--baseline=runs/none"], "there is no run folder runs/none"),
        (["--data=runs/none"], "--data=runs/none names no data: there is no such folder, and no such config"),
        (["--split=train"], "was trained on 5 of the 5 patches of this train split"),
    ],
)
def test_each_fault_is_one_clear_error(arguments, words, command_line, finished_run, tmp_path):
    out = tmp_path / "out"
    given = ["robustness", f"--workdir={finished_run}", f"--out={out}", *arguments]
    status, _, err = command_line.run(*given)
    assert status == 2
    assert words in err
    assert "Traceback" not in err
    assert not out.exists()


def test_a_finished_measurement_is_not_replaced_by_one_that_tells_less(
    finished, finished_run, command_line, tmp_path
):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    before = files_of(out)
    status, _, err = command_line.run(
        *("robustness", f"--workdir={finished_run}", "--kinds=hue", "--force", f"--out={out}")
    )
    assert status == 2
    assert f"a measurement with jpeg, noise, {command_line.data_dir}, the baseline, which" in err
    assert f"--kinds=jpeg,noise,hue --data={command_line.data_dir} --baseline=" in err
    assert files_of(out) == before


def test_an_out_that_is_a_file_is_refused_and_kept(command_line, finished_run, tmp_path):
    out = tmp_path / "file"
    out.write_text("kept")
    status, _, err = command_line.run("robustness", f"--workdir={finished_run}", f"--out={out}")
    assert status == 2
    assert "is a file" in err
    assert out.read_text() == "kept"
