"""A disk that is full, or that cannot be written to: one clear error, and what was saved stays usable.

The disks are real: a small file system in memory, and a folder mounted read-only, in a namespace of the test's own.
"""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from tests.faults.watched import assert_same_end

LAUNCH = pathlib.Path(__file__).resolve().parent.parent.parent / "launch.py"


@pytest.fixture(scope="module")
def in_own_namespace():
    """Runs a shell script that may mount; skips where the system does not let users do so."""

    def run(script: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
            capture_output=True,
            text=True,
            timeout=500,
            env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
        )

    if shutil.which("unshare") is None or run("mount -t tmpfs tmpfs /mnt").returncode:
        pytest.skip("this system lets no user mount a file system (unshare --map-root-user --mount)")
    return run


@pytest.fixture
def train(command_line):
    def command(workdir) -> str:
        return shlex.join(
            [sys.executable, str(LAUNCH), "train", *command_line.config, f"--workdir={workdir}"]
        )

    return command


@pytest.mark.long
def test_a_disk_that_is_full_while_saving_ends_the_run_and_more_space_lets_it_go_on(
    in_own_namespace, train, finished_run, tmp_path
):
    disk = tmp_path / "disk"
    disk.mkdir()
    # Room for two checkpoints; a third is written before the first goes.
    space = 2.5 * sum(path.stat().st_size for path in (finished_run / "checkpoints" / "30").rglob("*"))
    done = in_own_namespace(f"""
        mount -t tmpfs -o size={int(space)} tmpfs {disk}
        {train(disk / "run")}; echo "first status $?"
        ls {disk / "run" / "checkpoints"}
        mount -o remount,size=1g {disk}
        {train(disk / "run")}; echo "second status $?"
        cp -r {disk / "run"} {tmp_path / "copy"}
    """)
    assert "first status 2" in done.stdout, done.stdout + done.stderr
    # Beside what Orbax says of it.
    assert f"error: {disk / 'run'} cannot be written: the disk is full\nWhat to do: free" in done.stderr
    assert "resuming from the checkpoint of step" in done.stdout
    assert "second status 0" in done.stdout
    assert_same_end(tmp_path / "copy", finished_run)


def test_scores_of_a_run_that_cannot_be_written_are_printed_and_then_what_is_not_kept(
    in_own_namespace, finished_run, tmp_path
):
    run = shutil.copytree(finished_run, tmp_path / "run")
    before = sorted(run.rglob("*"))
    command = shlex.join([sys.executable, str(LAUNCH), "evaluate", f"--workdir={run}"])
    done = in_own_namespace(f"mount --bind {run} {run} && mount -o remount,ro,bind {run}; {command}")
    assert done.returncode == 2
    assert "image_skip" in done.stdout
    assert f"the scores above were not saved: {run}" in done.stderr
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(run.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_refused_at_once(in_own_namespace, train, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    done = in_own_namespace(
        f"mount --bind {disk} {disk} && mount -o remount,ro,bind {disk}; {train(disk / 'run')}"
    )
    assert done.returncode == 2
    assert "cannot be written: Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(disk.iterdir())


def test_predict_on_a_disk_without_inodes_ends_in_one_message(in_own_namespace, finished_run, tmp_path):
    """Its threads end before Python does: one left in the devices' code aborts the process, after the message."""
    disk = tmp_path / "disk"
    disk.mkdir()
    Image.new("RGB", (600, 600), (200, 120, 180)).save(tmp_path / "a.png")
    arguments = ("predict", f"--workdir={finished_run}", f"--inputs={tmp_path / 'a.png'}", f"--out={disk}")
    # Enough to open the image's maps and write a band of them.
    done = in_own_namespace(
        f"mount -t tmpfs -o size=64m,nr_inodes=18 tmpfs {disk}; ls {disk};"
        + shlex.join([sys.executable, str(LAUNCH), *arguments, "--tile_px=64", "--overlap_px=32"])
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith(f"error: {disk} cannot be written: the disk is full: no space, no inode")
    assert len(done.stderr.splitlines()) == 2
