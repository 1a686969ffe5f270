"""A command in a separate process with its output in a file; of a Slurm job, ended when the job is."""

import dataclasses
import os
import pathlib
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING

from nucseg_jax.core.files import open_to_append
from nucseg_jax.runtime.huge_pages import with_huge_pages

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission


@dataclasses.dataclass(frozen=True)
class CommandJob:
    """A command that runs here (`start`), or that submitit pickles and calls on another machine.

    submitit's CommandFunction keeps all output in memory until the end, and leaves the process running when the
    job is ended.

    Attributes:
      command: program and arguments.
      log: standard output and error are added to it, after the command itself.
      environment: variables that the command gets in place of this process's; None takes one away.
    """

    command: tuple[str, ...]
    log: pathlib.Path
    environment: dict[str, str | None] = dataclasses.field(default_factory=dict)

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the command; it has no standard input."""
        variables = {**with_huge_pages(os.environ), **self.environment}
        with open_to_append(self.log) as log:
            log.write(f"$ {shlex.join(self.command)}\n")
            log.flush()
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in variables.items() if value is not None},
            )

    def record_end(self, status: int) -> None:
        """Adds to the log that a signal ended the command, which cannot write that itself.

        Args:
          status: return code of the process; negative = the signal.
        """
        if status < 0:
            memory = "; is there enough memory?" if status == -signal.SIGKILL else ""
            with open_to_append(self.log) as log:
                log.write(f"error: ended by {signal.Signals(-status).name}{memory}\n")

    def __call__(self) -> None:
        """Runs the command to its end.

        Raises:
          CalledProcessError: it ended with another status than 0.
        """
        process = self.start()
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
        self.record_end(status)
        if status:
            raise subprocess.CalledProcessError(status, self.command)

    def checkpoint(self) -> "DelayedSubmission":
        """Returns what Slurm starts when the time limit has come: the same command, which resumes."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
