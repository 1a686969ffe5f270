"""A run that was told to leave, which several tests take up."""

import pathlib
import signal
from typing import NamedTuple

import pytest

from tests.faults.watched import logged_steps, wait_until


class Stopped(NamedTuple):
    """A run that got SIGTERM once it had logged step 13 of 30.

    Attributes:
      path: its folder, with checkpoints of step 8 or 12 and of the step at which it left; to be copied.
      status, err: with what it ended, and what it said.
    """

    path: pathlib.Path
    status: int
    err: str


@pytest.fixture(scope="session")
def stopped_run(command_line, tmp_path_factory) -> Stopped:
    workdir = tmp_path_factory.mktemp("stopped") / "run"
    process = command_line.start("train", *command_line.config, f"--workdir={workdir}")
    wait_until(process, lambda: logged_steps(workdir) >= 13)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    return Stopped(workdir, process.returncode, err)
