"""Commands as a user runs them: real processes, a small painted data set."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class CommandLine:
    """Runs `launch.py` on one small data set and one narrow model."""

    def __init__(self, data_dir: pathlib.Path):
        self.config = [
            f"--config={ROOT / 'configs' / 'quickstart.py'}",
            f"--config.data.dir={data_dir}",
            "--config.data.synthetic_patches_per_fold=5",
            "--config.model.width=0.125",
            "--config.train.tile_px=32",
            "--config.train.batch_size=32",
            "--config.train.epochs=3",
            "--config.train.checkpoint_every_steps=4",
            "--config.train.log_every_steps=1",
            "--config.eval.overlays=2",
            "--config.eval.time_inference=False",
        ]

    @staticmethod
    def start(*arguments: str, **options) -> subprocess.Popen:
        # As users have it: one device, and programs that are optimised (the suite itself compiles without).
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1", **options.pop("env", {})}
        environment.pop("XLA_FLAGS", None)
        return subprocess.Popen(
            [sys.executable, str(ROOT / "launch.py"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            **options,
        )

    def run(self, *arguments: str, timeout: float = 300, **options) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err

    def train(self, workdir: pathlib.Path, *more: str) -> tuple[int, str, str]:
        return self.run("train", *self.config, *more, f"--workdir={workdir}")


@pytest.fixture(scope="session")
def command_line(tmp_path_factory) -> CommandLine:
    line = CommandLine(tmp_path_factory.mktemp("data"))
    status, _, err = line.run("prepare", *line.config)
    assert status == 0, err
    return line


@pytest.fixture(scope="session")
def finished_run(command_line, tmp_path_factory) -> pathlib.Path:
    """A run that was never interrupted."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    status, out, err = command_line.train(workdir)
    assert status == 0, err
    assert "run folder" in out
    return workdir
