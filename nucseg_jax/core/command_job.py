"""A command as a job of submitit: a process of its own, its output in a file, ended when the job is."""

import dataclasses
import os
import pathlib
import shlex
import signal
import subprocess
from typing import Any

from nucseg_jax.core.files import open_to_append


@dataclasses.dataclass(frozen=True)
class CommandJob:
    """What submitit pickles, and calls where the job runs.

    submitit's CommandFunction keeps all output in memory until the end, and leaves the process running when the
    job is ended.

    Attributes:
      command: program and arguments.
      log: standard output and error are added to it, after the command itself.
      environment: variables that the command gets in place of the job's; None takes one away.
    """

    command: tuple[str, ...]
    log: pathlib.Path
    environment: dict[str, str | None] = dataclasses.field(default_factory=dict)

    def __call__(self) -> None:
        """Runs the command to its end.

        Raises:
          CalledProcessError: it ended with another status than 0.
        """
        variables = {**os.environ, **self.environment}
        with open_to_append(self.log) as log:
            log.write(f"$ {shlex.join(self.command)}\n")
            log.flush()
            process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in variables.items() if value is not None},
            )
            # submitit itself lets SIGTERM pass.
            before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
            try:
                status = process.wait()
            except BaseException:
                # Slurm's warning of the time limit ends the job from inside a signal handler.
                process.terminate()
                process.wait()
                raise
            finally:
                signal.signal(signal.SIGTERM, before)
            if status < 0:
                memory = "; is there enough memory?" if status == -signal.SIGKILL else ""
                log.write(f"error: ended by {signal.Signals(-status).name}{memory}\n")
        if status:
            raise subprocess.CalledProcessError(status, self.command)

    def checkpoint(self) -> Any:
        """What Slurm starts when the time limit has come: the same command, which goes on where it was."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
