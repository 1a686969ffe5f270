"""Killed, and the newest checkpoint damaged later: the run says so, goes on from the one before, and ends the same."""

import shutil

import pytest

from nucseg_jax.run_folder.saved_checkpoints import checkpoint_paths
from tests.faults.watched import assert_same_end, logged_steps, wait_until


@pytest.fixture(scope="module")
def killed_run(command_line, tmp_path_factory):
    """A run that got SIGKILL at step 13 or soon after; the save of step 12 waited for that of step 8."""
    workdir = tmp_path_factory.mktemp("killed") / "run"
    process = command_line.start("train", *command_line.config, f"--workdir={workdir}")
    wait_until(process, lambda: logged_steps(workdir) >= 13)
    process.kill()
    process.communicate()
    assert len(checkpoint_paths(workdir / "checkpoints")) >= 2
    return workdir


def largest_file(folder):
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def flip_a_bit(folder):
    path = largest_file(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def truncate(folder):
    path = largest_file(folder)
    path.write_bytes(path.read_bytes()[:1000])


def empty(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")


def half_delete(folder):
    for path in sorted(path for path in folder.rglob("*") if path.is_file())[::2]:
        path.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        *(pytest.param(damage, marks=pytest.mark.long) for damage in (truncate, empty, half_delete)),
    ],
)
def test_the_one_before_is_used_and_the_damaged_one_kept_aside(
    command_line, finished_run, killed_run, tmp_path, damage
):
    workdir = tmp_path / "run"
    shutil.copytree(killed_run, workdir)
    newest, before = (int(path.name) for path in checkpoint_paths(workdir / "checkpoints")[:2])
    damage(workdir / "checkpoints" / str(newest))
    status, out, err = command_line.train(workdir)
    assert status == 0, err
    assert f"set aside {newest} into {workdir / 'damaged_checkpoints'}: " in out
    assert f"resuming from the checkpoint of step {before}\n" in out
    assert [path.name.split("-")[0] for path in (workdir / "damaged_checkpoints").iterdir()] == [str(newest)]
    assert_same_end(workdir, finished_run)


@pytest.mark.long
def test_if_all_are_damaged_the_run_is_refused_and_left_as_it_is(command_line, killed_run, tmp_path):
    """Rather than started anew, as if nothing had been trained."""
    workdir = tmp_path / "run"
    shutil.copytree(killed_run, workdir)
    steps = sorted(path.name for path in (workdir / "checkpoints").iterdir())
    for step in steps:
        flip_a_bit(workdir / "checkpoints" / step)
    status, _, err = command_line.train(workdir)
    assert status == 2
    assert "is damaged: it holds other values than were saved" in err
    assert "Traceback" not in err
    assert sorted(path.name for path in (workdir / "checkpoints").iterdir()) == steps
