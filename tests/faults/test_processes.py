"""Two real processes that train one model: they leave together, end together, and others take their run up."""

import shutil
import signal
import socket

import numpy as np
import pytest

from nucseg_jax.core.errors import STATUS_TO_REQUEUE
from nucseg_jax.run_folder.metrics_log import read_metrics
from tests.faults.watched import assert_same_end, logged_steps, wait_until

SMALL = ("--config.train.epochs=2",)
ONE_EPOCH = ("--config.train.epochs=1",)


@pytest.fixture
def several(command_line):
    """Starts processes of one `launch.py train` with so many devices each; all are gone at the end."""
    started = []

    def start(workdir, *more, processes=2, devices=4):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        own = [
            command_line.start(
                "train",
                *command_line.config,
                *SMALL,
                *more,
                f"--workdir={workdir}",
                *(
                    (
                        f"--coordinator=localhost:{port}",
                        f"--processes={processes}",
                        f"--process_index={index}",
                    )
                    if processes > 1
                    else ()
                ),
                env={"JAX_NUM_CPU_DEVICES": str(devices)},
            )
            for index in range(processes)
        ]
        started.extend(own)
        return own

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ends(processes, seconds=300):
    """(status, standard output, standard error) of each."""
    heard = [process.communicate(timeout=seconds) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, heard, strict=True)]


def losses(workdir):
    return {
        line["step"]: line["loss"]
        for line in read_metrics(workdir / "metrics.jsonl")
        if line["kind"] == "train"
    }


def test_both_leave_when_one_is_told_and_one_process_with_three_devices_goes_on(several, tmp_path):
    workdir = tmp_path / "run"
    processes = several(workdir, *ONE_EPOCH)
    wait_until(processes[0], lambda: logged_steps(workdir) >= 5)
    processes[1].send_signal(signal.SIGTERM)
    (first, out, err), (second, other_out, other_err) = ends(processes)
    assert (first, second) == (STATUS_TO_REQUEUE, STATUS_TO_REQUEUE), err + other_err
    said = [text.split("saved at step ")[1].split()[0] for text in (err, other_err)]
    assert said[0] == said[1]
    assert "devices   8 x cpu: data 8; 2 processes" in out
    # The first alone speaks and writes.
    assert "model" not in other_out
    before = losses(workdir)

    ((status, out, err),) = ends(several(workdir, *ONE_EPOCH, processes=1, devices=3))
    assert status == 0, err
    # 32 examples are for two of the three.
    assert "devices   2 x cpu: data 2; 1 idle" in out
    assert f"resuming from the checkpoint of step {said[0]}" in out
    after = losses(workdir)
    assert sorted(after) == list(range(1, 11))
    assert {step: after[step] for step in before} == before
    assert (workdir / "results.json").exists()


@pytest.mark.long
def test_two_processes_resume_to_the_last_bit_and_agree_with_one_up_to_rounding(several, tmp_path):
    unbroken, broken, alone = (tmp_path / name for name in ("unbroken", "broken", "alone"))
    assert [status for status, _, _ in ends(several(unbroken))] == [0, 0]

    processes = several(broken)
    wait_until(processes[0], lambda: logged_steps(broken) >= 13)
    processes[0].send_signal(signal.SIGTERM)
    assert [status for status, _, _ in ends(processes)] == [STATUS_TO_REQUEUE] * 2
    assert [status for status, _, _ in ends(several(broken))] == [0, 0]
    assert_same_end(broken, unbroken)

    ((status, _, err),) = ends(several(alone, processes=1, devices=1))
    assert status == 0, err
    expected, found = losses(alone), losses(unbroken)
    # Two programs: what they round differently, twenty steps amplify.
    found, expected = list(found.values()), list(expected.values())
    np.testing.assert_allclose(found[:4], expected[:4], rtol=2e-3)
    np.testing.assert_allclose(found, expected, rtol=2e-2)


@pytest.mark.long
def test_a_run_of_one_process_with_three_devices_is_taken_up_by_two_with_four_each(several, tmp_path):
    workdir = tmp_path / "run"
    (process,) = several(workdir, "--config.mesh.fsdp=2", processes=1, devices=3)
    wait_until(process, lambda: logged_steps(workdir) >= 5)
    process.send_signal(signal.SIGTERM)
    ((status, out, err),) = ends([process])
    assert status == STATUS_TO_REQUEUE, err
    assert "devices   2 x cpu: fsdp 2; 1 idle" in out
    (status, out, err), (other, _, other_err) = ends(several(workdir, "--config.mesh.fsdp=2"))
    assert (status, other) == (0, 0), err + other_err
    assert "devices   8 x cpu: data 4 x fsdp 2; 2 processes" in out
    assert "resuming from the checkpoint of step" in out


@pytest.mark.long
def test_a_fixed_checkpoint_has_equal_counts_in_two_processes_and_in_one(
    command_line, several, finished_run, tmp_path
):
    """Five patches in batches of eight: some devices have nothing but padding."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    for workdir in (alone, together):
        shutil.copytree(finished_run, workdir)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    joined = (f"--coordinator=localhost:{port}", "--processes=2")
    processes = [
        command_line.start(
            "evaluate", f"--workdir={together}", *joined, f"--process_index={index}",
            env={"JAX_NUM_CPU_DEVICES": "4"},
        )
        for index in range(2)
    ]  # fmt: skip
    assert [status for status, _, _ in ends(processes)] == [0, 0]
    status, _, err = command_line.run("evaluate", f"--workdir={alone}")
    assert status == 0, err
    (expected,), (found,) = (
        list((folder / "evaluations").glob("*/per_image.csv")) for folder in (alone, together)
    )

    # Losses are sums of other order; all that is counted is equal.
    def counted(path):
        return [line.rpartition(",")[0] for line in path.read_text().splitlines()]

    assert counted(found) == counted(expected)


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 1])
def test_if_one_is_killed_the_other_ends_within_a_minute_with_a_message(several, tmp_path, victim):
    workdir = tmp_path / "run"
    processes = several(workdir)
    wait_until(processes[0], lambda: logged_steps(workdir) >= 6)
    processes[victim].kill()
    survivor = processes[1 - victim]
    _, err = survivor.communicate(timeout=60)
    assert survivor.returncode not in (0, STATUS_TO_REQUEUE)
    assert "one of several processes failed" in err or "another task died" in err
    assert (workdir / "checkpoints").is_dir()
