"""SIGKILL at any moment, SIGTERM, a clock that jumps: the same command again, and no number differs."""

import json
import random
import shutil
import signal
import time

import pytest

from nucseg_jax.core.errors import STATUS_TO_REQUEUE
from tests.faults.watched import assert_same_end, logged_steps, wait_until


@pytest.fixture(scope="module")
def unbroken(command_line, tmp_path_factory):
    """A run of optimised programs that was never interrupted."""
    workdir = tmp_path_factory.mktemp("unbroken") / "run"
    status, _, err = command_line.as_users_have_it().train(workdir)
    assert status == 0, err
    return workdir


@pytest.mark.long
@pytest.mark.parametrize("kill_after_step", [9, 23])
@pytest.mark.parametrize("feed_after", ["device", "host"])
def test_killed_in_the_middle_of_an_epoch_it_ends_bit_identical_on_either_feed(
    command_line, unbroken, tmp_path, kill_after_step, feed_after
):
    """SIGKILL once the given step is logged; the command again, with another feed.

    The checkpoint of step 8 waits for that of step 4, so one is there at step 9; step 24 saves next. That the feeds'
    programs round alike holds for optimised ones.
    """
    command_line = command_line.as_users_have_it()
    workdir = tmp_path / "killed"
    process = command_line.start("train", *command_line.config, f"--workdir={workdir}")
    wait_until(process, lambda: logged_steps(workdir) >= kill_after_step)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (workdir / "results.json").exists()

    status, out, err = command_line.train(workdir, f"--config.train.feed={feed_after}")
    assert status == 0, err
    assert f"feed      {feed_after}: " in out
    assert "resuming from the checkpoint of step" in out
    assert_same_end(workdir, unbroken)
    assert len(json.loads((workdir / "environment.json").read_text())["resumed"]) == 1


@pytest.mark.long
def test_killed_at_twenty_moments_of_its_runs_it_ends_bit_identical(command_line, unbroken, tmp_path):
    """Moments drawn over a whole run: imports, loading, steps, saving, validation, scoring.

    A checkpoint every other step, so that many kills fall into one. A run that ended before its moment is compared
    and begun anew; only kills that hit a run count. The programs are those that users have.
    """
    command_line = command_line.as_users_have_it()
    workdir, drawn = tmp_path / "killed", random.Random(0)
    often = "--config.train.checkpoint_every_steps=2"
    begin = time.monotonic()
    status, _, err = command_line.train(tmp_path / "warm", often)
    assert status == 0, err
    whole = time.monotonic() - begin
    killed = 0
    for _ in range(100):
        process = command_line.start("train", *command_line.config, often, f"--workdir={workdir}")
        time.sleep(drawn.uniform(0.05, 0.95) * whole)
        killed += process.poll() is None
        process.kill()
        process.communicate()
        if (workdir / "results.json").exists():
            assert_same_end(workdir, unbroken)
            shutil.rmtree(workdir)
        if killed == 20:
            break
    assert killed == 20
    status, _, err = command_line.train(workdir, often)
    assert status == 0, err
    assert_same_end(workdir, unbroken)


def test_told_to_leave_it_saves_that_step_says_so_and_ends_bit_identical(
    command_line, finished_run, tmp_path
):
    workdir = tmp_path / "preempted"
    process = command_line.start("train", *command_line.config, f"--workdir={workdir}")
    wait_until(process, lambda: logged_steps(workdir) >= 7)
    before = logged_steps(workdir)
    process.send_signal(signal.SIGTERM)
    after = logged_steps(workdir)
    # Some schedulers say it again and again.
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.02)
    _, err = process.communicate(timeout=60)
    assert process.returncode == STATUS_TO_REQUEUE
    step = int(err.split("saved at step ")[1].split()[0])
    # At the next step; one more was under way.
    assert before <= step <= after + 3
    assert (workdir / "checkpoints" / str(step)).is_dir()
    status, out, err = command_line.train(workdir)
    assert status == 0, err
    assert f"resuming from the checkpoint of step {step}" in out
    assert_same_end(workdir, finished_run)


def test_told_to_leave_while_there_is_nothing_to_save_it_asks_to_be_started_again(
    command_line, finished_run, tmp_path
):
    """Before the first step, and while a trained run's splits are scored."""
    begun, trained = tmp_path / "begun", tmp_path / "trained"
    shutil.copytree(finished_run, trained)
    for name in ("results.json", "record.json"):
        (trained / name).unlink()
    for workdir, moment in ((begun, "feed      "), (trained, "scoring train, validation and test")):
        process = command_line.start("train", *command_line.config, f"--workdir={workdir}")
        assert any(moment in line for line in process.stdout), process.stderr.read()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == STATUS_TO_REQUEUE, err
        assert "preempted (SIGTERM): there was nothing new to save; rerun the same command" in err
        assert not (workdir / "results.json").exists()
    assert not (begun / "checkpoints").exists()


# Every two seconds the clock is set anew: right, or an hour or four hundred days off, forwards or back.
JUMPING = """
import os, random, runpy, sys, time
now, now_ns, steady = time.time, time.time_ns, time.monotonic
offsets = (0, 3600, -3600, 86400 * 400, -86400 * 400)
offset = lambda: random.Random(int(steady() / 2)).choice(offsets)
time.time = lambda: now() + offset()
time.time_ns = lambda: now_ns() + offset() * 10**9
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.long
def test_a_clock_that_jumps_changes_no_number(command_line, finished_run, tmp_path):
    """Nothing goes by the time of files. Orbax waits for a save by the clock: a jump within one may end the run.

    What is saved is whole all the same, and the command again goes on.
    """
    script = tmp_path / "jumping.py"
    script.write_text(JUMPING)
    workdir = tmp_path / "run"
    arguments = ("train", *command_line.config, f"--workdir={workdir}")
    process = command_line.start(*arguments, before=(str(script),))
    wait_until(process, lambda: logged_steps(workdir) >= 6)
    process.kill()
    process.communicate()
    assert not (workdir / "results.json").exists()
    for _ in range(10):
        process = command_line.start(*arguments, before=(str(script),))
        _, err = process.communicate(timeout=300)
        if process.returncode == 0:
            break
        # Nothing but a save may end it.
        assert "orbax" in err, err
    assert process.returncode == 0, err
    assert_same_end(workdir, finished_run)
