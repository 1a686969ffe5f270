import os
import pickle
import shlex
import signal
import subprocess
import sys

import pytest

from nucseg_jax.runtime.command_job import CommandJob


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_what_a_command_prints_is_added_to_its_log_after_the_command(tmp_path):
    command = python("import sys; print('out', flush=True); print('err', file=sys.stderr)")
    job = pickle.loads(pickle.dumps(CommandJob(command, tmp_path / "log")))
    handler = signal.getsignal(signal.SIGTERM)
    job()
    job()
    assert (tmp_path / "log").read_text() == 2 * f"$ {shlex.join(command)}\nout\nerr\n"
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.parametrize(("share", "seen"), [(None, "0,1"), ("1", "1"), ("", "")])
def test_a_command_sees_this_environment_with_its_share_of_the_devices(tmp_path, monkeypatch, share, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("KEPT", "2")
    code = "import os; print([os.environ.get(name) for name in ('CUDA_VISIBLE_DEVICES', 'KEPT')])"
    assert CommandJob(python(code), tmp_path / "log").start(share).wait() == 0
    assert (tmp_path / "log").read_text().endswith(f"{[seen, '2']}\n")


def test_another_status_is_an_error(tmp_path):
    with pytest.raises(subprocess.CalledProcessError, match="status 3"):
        CommandJob(python("import sys; sys.exit(3)"), tmp_path / "log")()


def test_a_command_that_is_killed_says_so_in_its_log(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        CommandJob(python("import os; os.kill(os.getpid(), 9)"), tmp_path / "log")()
    assert (tmp_path / "log").read_text().splitlines()[-1].startswith("error: ended by SIGKILL")


def test_sigterm_ends_the_command(tmp_path):
    """The job's own process lives on and says what happened."""
    code = "import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
    with pytest.raises(subprocess.CalledProcessError):
        CommandJob(python(code), tmp_path / "log")()
    assert (tmp_path / "log").read_text().splitlines()[-1] == "error: ended by SIGTERM"


def test_a_job_that_is_left_by_an_exception_takes_its_command_along(tmp_path):
    def leave(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGUSR2, leave)
    send = f"os.kill(os.getppid(), {int(signal.SIGUSR2)})"
    code = f"import os, time; print(os.getpid(), flush=True); {send}; time.sleep(60)"
    try:
        with pytest.raises(TimeoutError):
            CommandJob(python(code), tmp_path / "log")()
    finally:
        signal.signal(signal.SIGUSR2, before)
    process = int((tmp_path / "log").read_text().splitlines()[1])
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_sigterm_before_the_command_has_begun_ends_it_too(tmp_path, monkeypatch):
    start = CommandJob.start

    def start_late(job):
        os.kill(os.getpid(), signal.SIGTERM)
        return start(job)

    monkeypatch.setattr(CommandJob, "start", start_late)
    with pytest.raises(subprocess.CalledProcessError):
        CommandJob(python("import time; time.sleep(60)"), tmp_path / "log")()
    assert (tmp_path / "log").read_text().splitlines()[-1] == "error: ended by SIGTERM"
