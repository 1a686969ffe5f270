"""Sweeps as a user runs them: real rows in processes of their own, one that fails among them."""

import dataclasses
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import pytest

from configs import quickstart
from nucseg_jax.cli.sweep import SweepRun, list_rows, shown_test_dice
from nucseg_jax.cli.sweep_local import device_shares, last_error, run_locally
from nucseg_jax.cli.sweep_slurm import claim_pickles, slurm_parameters, submit_to_slurm
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.lock import file_lock
from nucseg_jax.run_folder.environment import StartedFrom
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.sweep import Row, read_sweep, row_experiments

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ONE_EPOCH = (
    "--config.train.epochs=1",
    "--config.model.encoder_depths=(1,1,1)",
    "--config.augment.flips=True",
)
# The first is found out only when it looks for its devices.
TOO_MANY = Row("too_many", {"mesh.data": 7})
FOLD_2 = Row("fold2", {"split.number": 2})


def write_sweep(file: pathlib.Path, *rows: Row) -> pathlib.Path:
    file.write_text(f'"""Rows of a test."""\n\nROWS = {[dataclasses.asdict(row) for row in rows]!r}\n')
    return file


@pytest.fixture
def sweep(command_line, tmp_path):
    """Starts `train --sweep` of the rows on the small data set, in tmp_path / 'root', from the repository's root."""

    def start(rows: tuple[Row, ...], *more: str, **options) -> tuple[int, str, str]:
        file = write_sweep(tmp_path / "rows.py", *rows)
        arguments = [*command_line.config, *ONE_EPOCH, f"--sweep={file}", f"--workdir={tmp_path / 'root'}"]
        return command_line.run("train", *arguments, *more, cwd=ROOT, **options)

    return start


def test_rows_run_locally_and_a_second_start_runs_only_what_is_missing(sweep, tmp_path, capsys):
    root = tmp_path / "root"
    status, out, err = sweep((TOO_MANY, FOLD_2), "--executor=local", "--jobs=2")
    assert (status, err) == (1, "")
    lines = [line.split() for line in out.splitlines()]
    assert ["0", "too_many", "begins"] in lines
    assert ["1", "fold2", "begins"] in lines
    failed = next(line for line in out.splitlines() if " too_many " in line and " min " in line)
    assert "error: the mesh is data=7" in failed
    assert ["0", "too_many", "failed", "-"] in lines
    assert [str(root / "too_many.log")] in lines
    assert not (root / "too_many").exists()
    dice = f"{json.loads((root / 'fold2' / 'results.json').read_text())['test']['micro']['dice']:.4f}"
    ended = next(line for line in lines if line[:3] == ["1", "fold2", "finished"] and "min" in line)
    assert ended[-4:] == ["test", "micro", "Dice", dice]
    assert ["1", "fold2", "finished", dice] in lines

    environment = json.loads((root / "fold2" / "environment.json").read_text())
    started = environment["started_from"]
    assert started["sweep"] == {"file": str(tmp_path / "rows.py"), "label": "fold2", "index": 1}
    assert started["config"].endswith("quickstart.py")
    assert (
        started["overrides"].items() >= {"split.number": 2, "train.epochs": 1, "augment.flips": True}.items()
    )
    assert started["overrides"]["model.encoder_depths"] == [1, 1, 1]
    # What the log shows is what one would type, and what the run was started with.
    typed = shlex.split((root / "fold2.log").read_text().splitlines()[0])
    assert typed[:4] == ["$", sys.executable, str(ROOT / "launch.py"), "train"]
    assert typed[-2:] == [f"--workdir={root}", "--index=1"]
    assert shlex.split(environment["command"]) == ["python", "launch.py", *typed[3:]]

    before = {path: path.stat().st_mtime_ns for path in root.glob("fold2*/**/*")}
    status, out, _ = sweep((TOO_MANY, FOLD_2), "--executor=local")
    assert status == 1
    assert [line.split()[1] for line in out.splitlines() if line.endswith("begins")] == ["too_many"]
    assert {path: path.stat().st_mtime_ns for path in root.glob("fold2*/**/*")} == before

    list_rows(read_sweep(tmp_path / "rows.py"), root)
    assert [line.split() for line in capsys.readouterr().out.splitlines()[-4:] if "---" not in line] == [
        ["index", "label", "state", "mesh.data", "split.number"],
        ["0", "too_many", "-", "7", "-"],
        ["1", "fold2", "finished", "-", "2"],
    ]


def test_a_list_says_once_what_several_rows_have_in_common(tmp_path, capsys):
    def listed(*rows):
        list_rows(read_sweep(write_sweep(tmp_path / "rows.py", *rows)), None)
        return [line.split() for line in capsys.readouterr().out.splitlines() if "--" not in line]

    rows = [Row(f"seed{seed}", {"train.seed": seed, "train.epochs": 3}) for seed in (0, 1)]
    assert listed(*rows)[1:] == [
        ["all", "rows:", "train.epochs=3"],
        [],
        ["index", "label", "train.seed"],
        ["0", "seed0", "0"],
        ["1", "seed1", "1"],
    ]
    # One row has nothing in common with others.
    assert listed(rows[0])[1:] == [
        [],
        ["index", "label", "train.seed", "train.epochs"],
        ["0", "seed0", "0", "3"],
    ]


@pytest.fixture
def sweep_run(tmp_path):
    """A sweep of the quickstart whose rows are not started."""
    rows = (Row("finished", {}), TOO_MANY, FOLD_2)
    sweep = read_sweep(write_sweep(tmp_path / "rows.py", *rows))
    experiments = row_experiments(sweep, quickstart.get_config().to_dict(), {})
    return SweepRun(sweep, experiments, tmp_path / "root", StartedFrom("c.py", {}), ("python", "launch.py"))


@pytest.mark.parametrize("content", ["", "[]", '{"test": {"micro": {"dice": "x"}}}', "[" * 100_000])
def test_a_row_whose_results_are_damaged_does_not_end_the_list(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    assert shown_test_dice(RunFolder(tmp_path)) == "damaged"


def test_a_folder_of_other_runs_is_refused_before_any_row_starts(sweep_run):
    sweep_run.claim()
    settings = sweep_run.experiments[2].config.as_json()
    settings["train"]["lr"] = 0.5
    sweep_run.folder(2).path.mkdir()
    sweep_run.folder(2).config.write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"fold2 was started with another config: train\.lr: 0\.5 -> 0\.001"):
        sweep_run.claim()


def test_submitits_pickles_lie_in_a_folder_of_this_user_alone(sweep_run):
    """They are read again as code."""
    sweep_run.claim()
    pickles = claim_pickles(sweep_run.root)
    assert pickles.stat().st_mode & 0o777 == 0o700
    pickles.chmod(0o777)
    with pytest.raises(UserError, match=r"run as code: others may write to .*\.submitit; chmod go-w"):
        claim_pickles(sweep_run.root)
    pickles.rename(sweep_run.root / "elsewhere")
    pickles.symlink_to(sweep_run.root / "elsewhere")
    with pytest.raises(UserError, match=r"\.submitit is a link"):
        claim_pickles(sweep_run.root)


def test_a_run_folder_is_no_folder_of_a_sweep(sweep_run):
    sweep_run.root.mkdir()
    (sweep_run.root / "config.json").write_text("{}")
    with pytest.raises(UserError, match="is the folder of one run"):
        sweep_run.claim()


def rows_that_run(sweep_run: SweepRun, code: str) -> SweepRun:
    """The same sweep whose rows are Python programs that end at once; their index is the last argument."""
    return dataclasses.replace(sweep_run, program=(sys.executable, "-c", code))


def test_local_rows_need_no_submitit_and_one_that_is_preempted_is_told_from_one_that_failed(
    sweep_run, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "submitit", None)
    code = (
        "import os, sys\nindex = int(sys.argv[-1].removeprefix('--index='))\n"
        "if index == 2: os.kill(os.getpid(), 9)\n"
        "print('error: no data' if index else 'preempted (SIGTERM): saved')\nsys.exit([75, 2][index])"
    )
    assert not run_locally(rows_that_run(sweep_run, code), jobs=3)
    out = capsys.readouterr().out
    ends = {line.split()[0]: line for line in out.splitlines() if " min " in line}
    assert "preempted" in ends["0"]
    assert "failed" in ends["1"]
    assert "error: no data" in ends["1"]
    assert "error: ended by SIGKILL; is there enough memory?" in ends["2"]
    assert "3 rows of 3 did not finish" in out


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_more_rows_run_at_once_than_were_asked_for(sweep_run, jobs):
    code = (
        "import sys, time\nprint('at', time.monotonic(), flush=True)\ntime.sleep(0.6)\n"
        "print('at', time.monotonic())\nsys.exit(1)"
    )
    run_locally(rows_that_run(sweep_run, code), jobs=jobs)
    spans = [
        [
            float(line.split()[1])
            for line in sweep_run.job(index).log.read_text().splitlines()
            if line[:3] == "at "
        ]
        for index in range(3)
    ]
    at_once = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert max(at_once) == jobs


def test_a_row_whose_log_is_a_link_fails_alone(sweep_run, capsys):
    sweep_run.root.mkdir()
    sweep_run.job(0).log.symlink_to("elsewhere")
    assert not run_locally(rows_that_run(sweep_run, "print('error: ran')"), jobs=1)
    ends = [line for line in capsys.readouterr().out.splitlines() if " min " in line]
    assert "finished.log is a link" in ends[0]
    assert [line.split()[-1] for line in ends[1:]] == ["ran", "ran"]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_all_rows_that_run_end_in_order_and_starts_no_more(sweep_run, sent, capsys):
    """The rows save at SIGTERM, SIGINT does not reach them, and a second signal changes nothing."""
    code = (
        "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: 0)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "if 'index=1' in sys.argv[-1]:\n"
        f"    for _ in range(2): time.sleep(0.3); os.kill(os.getppid(), {int(sent)})\n"
        "else: signal.pause()\n"
        "time.sleep(0.5)\nprint('preempted (SIGTERM): saved')\nsys.exit(75)"
    )
    with pytest.raises(KeyboardInterrupt if sent == signal.SIGINT else SystemExit):
        run_locally(rows_that_run(sweep_run, code), jobs=2)
    logs = [sweep_run.job(index).log for index in range(3)]
    assert [log.exists() for log in logs] == [True, True, False]
    assert all(log.read_text().endswith("saved\n") for log in logs[:2])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_an_interrupted_sweep_takes_its_rows_along(command_line, tmp_path, sent, status):
    file = write_sweep(tmp_path / "rows.py", FOLD_2, TOO_MANY)
    process = command_line.start(
        *("train", *command_line.config, f"--sweep={file}", "--executor=local", f"--workdir={tmp_path}"),
        cwd=ROOT,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "fold2" / "environment.json").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert err.strip().startswith("interrupted" if sent == signal.SIGINT else "")
    assert "Traceback" not in out + err
    assert (tmp_path / "fold2.log").read_text().splitlines()[-1].startswith("preempted (SIGTERM)")
    assert not (tmp_path / "too_many.log").exists()
    # Nobody trains in it any more.
    with file_lock(tmp_path / "fold2" / ".lock", busy="", advice=""):
        pass


@pytest.fixture
def slurm(tmp_path) -> pathlib.Path:
    """A folder with a stub of Slurm; what is submitted lies in tmp_path / 'submitted'."""
    stub = tmp_path / "stub"
    stub.mkdir()
    scripts = {
        "sbatch": f'cp "$1" {tmp_path / "submitted"}; echo "Submitted batch job 4242"',
        # --unbuffered --output FILE --error FILE
        "srun": 'shift 5; exec "$@"',
    }
    for name, script in scripts.items():
        (stub / name).write_text(f"#!/bin/sh\n{script}\n")
        (stub / name).chmod(0o755)
    return stub


def test_missing_rows_become_a_slurm_array_of_which_each_job_trains_one(sweep, slurm, tmp_path):
    """The job of the row that fails is run as Slurm would; it fails too, so that Slurm's own tools say so."""
    root = tmp_path / "root"
    (root / "finished").mkdir(parents=True)
    (root / "finished" / "results.json").write_text("{}")
    path = {"PATH": f"{slurm}{os.pathsep}{os.environ['PATH']}"}
    rows = (Row("finished", {}), FOLD_2, TOO_MANY)
    options = ("--executor=slurm", "--slurm=partition=gpu,gres=gpu:1,time=30")
    status, out, err = sweep(rows, *options, env=path)
    assert (status, err) == (0, "")
    assert [line.split()[:3] for line in out.splitlines() if line.startswith("4242_")] == [
        ["4242_0", "1", "fold2"],
        ["4242_1", "2", "too_many"],
    ]
    assert "squeue --job=4242" in out
    script = (tmp_path / "submitted").read_text()
    asked = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")}
    assert asked >= {"array=0-1%2", "gres=gpu:1", "job-name=nucseg_rows", "partition=gpu", "time=30"}
    assert "wckey" not in script

    inside = {"SLURM_JOB_ID": "4244", "SLURM_ARRAY_JOB_ID": "4242", "SLURM_ARRAY_TASK_ID": "1"}
    environment = {**os.environ, **path, **inside, "JAX_NUM_CPU_DEVICES": "1"}
    done = subprocess.run(["bash", tmp_path / "submitted"], cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode != 0
    log = (root / "too_many.log").read_text()
    assert shlex.split(log.splitlines()[0])[-1] == "--index=2"
    assert "error: the mesh is data=7" in log
    assert not (root / "fold2.log").exists()


def test_what_sbatch_does_not_take_is_shown_in_its_words(sweep_run, slurm, monkeypatch):
    monkeypatch.setenv("PATH", str(slurm), prepend=os.pathsep)
    (slurm / "sbatch").write_text("#!/bin/sh\necho 'invalid partition specified: gpv' >&2; exit 1\n")
    with pytest.raises(UserError, match="invalid partition specified: gpv"):
        submit_to_slurm(sweep_run, "partition=gpv,time=9")


def test_without_slurm_the_machine_is_named_as_the_fault(sweep_run, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="srun is not found"):
        submit_to_slurm(sweep_run, "time=9")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--sweep=x.py"], "no flag that selects an action"),
        (["train", "--sweep=x.py", "--list", "--index=1"], "--list and --index"),
        (["train", "--index=1"], "--index goes with --sweep"),
        (["train", "--sweep=x.py", "--index=1", "--jobs=2"], "--jobs goes with --executor=local"),
        (
            ["train", "--sweep=x.py", "--executor=local", "--slurm=time=1"],
            "--slurm goes with --executor=slurm",
        ),
        (["evaluate", "--sweep=x.py"], "--sweep goes with train; the verb is evaluate"),
        (["train", "--batch_size=16"], "--batch_size goes with predict; the verb is train"),
        (["report", "--distributed"], "--distributed goes with train and evaluate"),
        (
            ["train", "--sweep=x.py", "--executor=cloud"],
            "'--executor': 'cloud' is not one of 'local', 'slurm'",
        ),
    ],
)
def test_flags_that_do_not_go_together_are_refused(command_line, arguments, message):
    status, _, err = command_line.run(*arguments)
    assert status == 2
    assert message in err


def test_rows_are_checked_before_any_runs(command_line, tmp_path):
    file = tmp_path / "rows.py"
    file.write_text("ROWS = [{'label': f'l2_{l2}', 'overrides': {'loss.l2': l2}} for l2 in (0.1, 'much')]")
    status, _, err = command_line.run(
        *("train", *command_line.config, f"--sweep={file}"), "--index=0", f"--workdir={tmp_path / 'root'}"
    )
    assert status == 2
    assert "row 1 (l2_much)" in err
    assert not (tmp_path / "root").exists()


def test_without_submitit_a_sweep_says_what_to_install(sweep_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"nucseg_jax\[sweeps\]"):
        submit_to_slurm(sweep_run, "time=9")


@pytest.mark.parametrize(
    ("visible", "jobs", "expected"),
    [
        (None, 2, [None, None]),
        ("", 1, [""]),
        ("", 2, ["", ""]),
        ("3", 2, ["3", "3"]),
        ("0,1,2", 1, ["0,1,2"]),
        ("0,1,2", 2, ["0,2", "1"]),
        ("GPU-a,GPU-b", 2, ["GPU-a", "GPU-b"]),
    ],
)
def test_rows_that_run_at_once_share_the_devices_out(visible, jobs, expected):
    assert device_shares(visible, jobs) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$ python\nerror: no data\nExpected: some.\nWhat to do: prepare.\n", "error: no data"),
        ("$ python\nTraceback (most recent call last):\n  File\nKeyError: 'a'\n\n", "KeyError: 'a'"),
        ("$ python\n", "it printed nothing"),
    ],
)
def test_the_error_of_a_log_is_that_of_the_last_start(tmp_path, text, expected):
    log = tmp_path / "row.log"
    before = "error: of an earlier start\n"
    log.write_text(before + text)
    assert last_error(log, len(before)) == expected


def test_options_go_to_sbatch_and_minutes_to_submitit():
    options = 'time=240,"nodelist=a,b", cpus-per-task=8,gres=gpu:1,job_name=mine'
    parameters = slurm_parameters(options, job_name="x")
    assert parameters["time"] == 240
    assert parameters["additional_parameters"] == {
        **{"cpus_per_task": "8", "gres": "gpu:1"},
        **{"job_name": "mine", "nodelist": "a,b"},
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "no time"),
        ("partition=gpu", "no time"),
        ("time=1-00:00", "whole minutes"),
        ("time=0", "whole minutes"),
        ("time=9,exclusive", "NAME=VALUE"),
        ("time=9,=gpu", "NAME=VALUE"),
    ],
)
def test_slurm_options_of_another_form_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        slurm_parameters(options, job_name="x")
