"""Sweeps as a user runs them: real rows in processes of their own, one that fails among them."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import pytest

from nucseg_jax.commands.sweep import import_submitit
from nucseg_jax.commands.sweep_local import devices_by_slot, last_error
from nucseg_jax.commands.sweep_slurm import slurm_parameters
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.lock import held

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ONE_EPOCH = (
    "--config.train.epochs=1",
    "--config.model.encoder_depths=(1,1,1)",
    "--config.augment.flips=True",
)
# The second is found out only when it reads its data.
ROWS = """
ROWS = [
    {"label": "seed0", "overrides": {"train.seed": 0}},
    {"label": "too_large", "overrides": {"train.batch_size": 100000}},
    {"label": "seed1", "overrides": {"train.seed": 1}},
]
"""


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory) -> pathlib.Path:
    file = tmp_path_factory.mktemp("sweep") / "rows.py"
    file.write_text('"""Seeds, and a batch that is too large."""\n' + ROWS)
    return file


@pytest.fixture
def sweep(command_line, sweep_file):
    """Starts `train --sweep` on the small data set from the repository's root."""
    arguments = ["train", *command_line.config, *ONE_EPOCH, f"--sweep={sweep_file}"]
    return lambda *more, **options: command_line.run(*arguments, *more, cwd=ROOT, **options)


def test_rows_run_locally_and_a_second_start_runs_only_what_is_missing(sweep, sweep_file, tmp_path):
    root = tmp_path / "root"
    command = ("--executor=local", "--jobs=2", f"--workdir={root}")
    status, out, err = sweep(*command)
    assert (status, err) == (1, "")
    lines = [line.split() for line in out.splitlines()]
    for row in (["0", "seed0"], ["1", "too_large"], ["2", "seed1"]):
        assert [*row, "begins"] in lines
    results = {label: json.loads((root / label / "results.json").read_text()) for label in ("seed0", "seed1")}
    for index, label in ((0, "seed0"), (2, "seed1")):
        dice = f"{results[label]['test']['micro']['dice']:.4f}"
        ended = next(line for line in lines if line[:3] == [str(index), label, "finished"] and "min" in line)
        assert ended[-4:] == ["test", "micro", "Dice", dice]
        assert [str(index), label, "finished", dice] in lines
    failed = next(line for line in out.splitlines() if " too_large " in line and "failed" in line)
    assert failed.endswith("do not fill a batch of 100000") or "error: " in failed
    assert ["1", "too_large", "failed", "-"] in lines
    assert [str(root / "too_large.log")] in lines
    assert not (root / "too_large").exists()

    environment = json.loads((root / "seed1" / "environment.json").read_text())
    started = environment["started_from"]
    assert started["sweep"] == {"file": str(sweep_file), "label": "seed1"}
    assert started["config"].endswith("quickstart.py")
    assert started["overrides"].items() >= {"train.seed": 1, "train.epochs": 1, "augment.flips": True}.items()
    assert started["overrides"]["model.encoder_depths"] == [1, 1, 1]
    # What the log shows is what one would type, and what the run was started with.
    typed = shlex.split((root / "seed1.log").read_text().splitlines()[0])
    assert typed[:4] == ["$", sys.executable, str(ROOT / "launch.py"), "train"]
    assert typed[-2:] == [f"--workdir={root}", "--index=2"]
    assert shlex.split(environment["command"]) == typed[2:]

    before = {path: path.stat().st_mtime_ns for path in root.glob("seed*/**/*")}
    status, out, _ = sweep(*command)
    assert status == 1
    assert [line.split()[1] for line in out.splitlines() if line.endswith("begins")] == ["too_large"]
    assert {path: path.stat().st_mtime_ns for path in root.glob("seed*/**/*")} == before

    status, out, _ = sweep("--list", f"--workdir={root}")
    assert status == 0
    assert [line.split() for line in out.splitlines()[-5:] if "---" not in line] == [
        ["index", "label", "state", "train.seed", "train.batch_size"],
        ["0", "seed0", "finished", "0", "-"],
        ["1", "too_large", "-", "-", "100000"],
        ["2", "seed1", "finished", "1", "-"],
    ]

    status, out, err = sweep(*command, "--config.train.lr=0.5")
    assert status == 2
    assert "train.lr: 0.001 -> 0.5" in err


def test_an_interrupted_sweep_takes_its_rows_along(command_line, sweep_file, tmp_path):
    process = command_line.start(
        *("train", *command_line.config, f"--sweep={sweep_file}", "--executor=local"),
        f"--workdir={tmp_path}",
        cwd=ROOT,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "seed0" / "environment.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.strip().startswith("interrupted")
    assert "Traceback" not in out + err
    assert (tmp_path / "seed0.log").read_text().splitlines()[-1] == "error: ended by SIGTERM"
    # Nobody trains in it any more.
    with held(tmp_path / "seed0" / ".lock"):
        pass


@pytest.fixture
def slurm(tmp_path) -> dict[str, str]:
    """Variables under which a stub of Slurm is found; what is submitted lies in tmp_path / 'submitted'."""
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
    return {"PATH": f"{stub}{os.pathsep}{os.environ['PATH']}"}


def test_missing_rows_become_a_slurm_array_of_which_each_job_trains_one(sweep, slurm, tmp_path):
    root = tmp_path / "root"
    (root / "seed0").mkdir(parents=True)
    (root / "seed0" / "results.json").write_text("{}")
    status, out, err = sweep(
        "--executor=slurm", "--slurm=partition=gpu,gres=gpu:1,time=30", f"--workdir={root}", env=slurm
    )
    assert (status, err) == (0, "")
    assert [line.split()[:3] for line in out.splitlines() if line.startswith("4242_")] == [
        ["4242_0", "1", "too_large"],
        ["4242_1", "2", "seed1"],
    ]
    assert "squeue --job=4242" in out
    script = (tmp_path / "submitted").read_text()
    options = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")}
    assert options >= {"array=0-1%2", "gres=gpu:1", "job-name=nucseg_rows", "partition=gpu", "time=30"}
    assert "wckey" not in script

    inside = {"SLURM_JOB_ID": "4244", "SLURM_ARRAY_JOB_ID": "4242", "SLURM_ARRAY_TASK_ID": "1"}
    environment = {**os.environ, **slurm, **inside, "JAX_NUM_CPU_DEVICES": "1"}
    environment.pop("XLA_FLAGS", None)
    done = subprocess.run(
        ["bash", tmp_path / "submitted"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((root / "seed1" / "results.json").read_text())["test"]
    assert not (root / "too_large").exists()


def test_what_sbatch_does_not_take_is_shown_in_its_words(sweep, slurm, tmp_path):
    stub = pathlib.Path(slurm["PATH"].split(os.pathsep)[0])
    (stub / "sbatch").write_text(
        "#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpv' >&2; exit 1\n"
    )
    status, _, err = sweep(
        "--executor=slurm", "--slurm=partition=gpv,time=9", f"--workdir={tmp_path / 'root'}", env=slurm
    )
    assert status == 2
    assert "invalid partition specified: gpv" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--sweep=x.py"], "nothing that says what to do"),
        (["train", "--sweep=x.py", "--list", "--index=1"], "--list and --index"),
        (["train", "--index=1"], "--index goes with --sweep"),
        (["train", "--sweep=x.py", "--index=1", "--jobs=2"], "--jobs goes with --executor=local"),
        (
            ["train", "--sweep=x.py", "--executor=local", "--slurm=time=1"],
            "--slurm goes with --executor=slurm",
        ),
        (["evaluate", "--sweep=x.py", "--index=1"], "--sweep goes with train"),
        (["train", "--sweep=x.py", "--executor=cloud"], "--executor=cloud"),
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


def test_without_submitit_a_sweep_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match="slurm"):
        import_submitit()


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
    assert devices_by_slot(visible, jobs) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$ python\nerror: no data\nExpected: some.\nWhat to do: prepare.\n", "error: no data"),
        ("Traceback (most recent call last):\n  File\nKeyError: 'a'\n\n", "KeyError: 'a'"),
        ("", "it printed nothing"),
    ],
)
def test_the_error_of_a_log_is_that_of_the_last_start(tmp_path, text, expected):
    log = tmp_path / "row.log"
    before = "error: of an earlier start\n"
    log.write_text(before + text)
    assert last_error(log, len(before)) == expected


def test_options_go_to_sbatch_and_minutes_to_submitit():
    parameters = slurm_parameters(
        ["time=240", "cpus-per-task=8", "gres=gpu:1", "job_name=mine"], job_name="x"
    )
    assert parameters["time"] == 240
    assert parameters["additional_parameters"] == {"cpus_per_task": "8", "gres": "gpu:1", "job_name": "mine"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no time"),
        (["partition=gpu"], "no time"),
        (["time=1-00:00"], "whole minutes"),
        (["time=0"], "whole minutes"),
        (["time=9", "exclusive"], "NAME=VALUE"),
        (["time=9", "=gpu"], "NAME=VALUE"),
    ],
)
def test_slurm_options_of_another_form_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        slurm_parameters(options, job_name="x")
