"""SIGKILL at any moment, SIGTERM, a clock that jumps: the same command again, and no number differs."""

import json
import random
import shutil
import signal
import time

import pytest

from nucseg_jax.core.errors import STATUS_TO_REQUEUE
from tests.faults.watched import assert_same_end, logged_steps, wait_until


@pytest.mark.parametrize(
    ("kill_after_step", "feed_after"),
    [(9, "host"), *(pytest.param(23, feed, marks=pytest.mark.long) for feed in ("device", "host"))],
)
def test_killed_in_the_middle_of_an_epoch_it_ends_bit_identical(
    command_line, finished_run, tmp_path, kill_after_step, feed_after
):
    """SIGKILL once the given step is logged; the command again, the feed left free.

    The checkpoint of step 8 waits for that of step 4, so one is there at step 9; step 24 saves next.
    """
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
    assert_same_end(workdir, finished_run)
    assert len(json.loads((workdir / "environment.json").read_text())["resumed"]) == 1


@pytest.mark.long
def test_killed_at_twenty_moments_of_one_run_it_ends_bit_identical(command_line, finished_run, tmp_path):
    """Moments drawn over the whole run: imports, compilation, steps, saving, validation, scoring.

    A checkpoint every other step, so that many kills fall into one.
    """
    workdir, drawn = tmp_path / "killed", random.Random(0)
    begin = time.monotonic()
    status, _, err = command_line.train(tmp_path / "measured", "--config.train.checkpoint_every_steps=2")
    assert status == 0, err
    whole = time.monotonic() - begin
    moments, caught = [], 0
    for _ in range(20):
        process = command_line.start(
            "train", *command_line.config, "--config.train.checkpoint_every_steps=2", f"--workdir={workdir}"
        )
        time.sleep(drawn.uniform(0.05, 0.95) * whole)
        caught += process.poll() is None
        moments.append(logged_steps(workdir))
        process.kill()
        process.communicate()
        if (workdir / "results.json").exists():
            assert_same_end(workdir, finished_run)
            shutil.rmtree(workdir)
    # Kills of a run that had ended test nothing.
    assert caught >= 15, moments
    status, _, err = command_line.train(workdir, "--config.train.checkpoint_every_steps=2")
    assert status == 0, err
    assert_same_end(workdir, finished_run)


def test_told_to_leave_it_saves_that_step_says_so_and_ends_bit_identical(
    command_line, finished_run, tmp_path
):
    workdir = tmp_path / "preempted"
    process = command_line.start("train", *command_line.config, f"--workdir={workdir}")
    wait_until(process, lambda: logged_steps(workdir) >= 13)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == STATUS_TO_REQUEUE
    step = int(err.split("saved at step ")[1].split()[0])
    # At the next step; one more was under way.
    assert 13 <= step <= 16
    assert (workdir / "checkpoints" / str(step)).is_dir()
    status, out, err = command_line.train(workdir)
    assert status == 0, err
    assert f"resuming from the checkpoint of step {step}" in out
    assert_same_end(workdir, finished_run)


# Every second look at the clock finds it an hour or so off, forwards or back.
JUMPING = """
import random, runpy, sys, time
drawn, now, now_ns = random.Random(1), time.time, time.time_ns
jump = lambda: drawn.choice((0, 0, 3600, -3600, 86400 * 400, -86400 * 400))
time.time = lambda: now() + jump()
time.time_ns = lambda: now_ns() + jump() * 10**9
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.long
def test_a_clock_that_jumps_changes_no_number(command_line, finished_run, tmp_path):
    """Told to leave in the middle, so that both starts see wrong clocks; nothing goes by the time of files."""
    script = tmp_path / "jumping.py"
    script.write_text(JUMPING)
    workdir = tmp_path / "run"
    arguments = ("train", *command_line.config, f"--workdir={workdir}")
    process = command_line.start(*arguments, before=(str(script),))
    wait_until(process, lambda: logged_steps(workdir) >= 6)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == STATUS_TO_REQUEUE
    process = command_line.start(*arguments, before=(str(script),))
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert_same_end(workdir, finished_run)
