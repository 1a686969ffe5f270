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
    """

    command: tuple[str, ...]
    log: pathlib.Path

    def start(self, cuda_devices: str | None = None) -> subprocess.Popen[bytes]:
        """Starts the command without standard input; `cuda_devices` replaces CUDA_VISIBLE_DEVICES."""
        devices = {} if cuda_devices is None else {"CUDA_VISIBLE_DEVICES": cuda_devices}
        with open_to_append(self.log) as log:
            log.write(f"$ {shlex.join(self.command)}\n")
            log.flush()
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=with_huge_pages(os.environ) | devices,
            )

    def record_end(self, status: int) -> None:
        """Adds to the log that a signal ended the command (a negative status), which cannot write that itself."""
        if status < 0:
            memory = "; is there enough memory?" if status == -signal.SIGKILL else ""
            with open_to_append(self.log) as log:
                log.write(f"error: ended by {signal.Signals(-status).name}{memory}\n")

    def __call__(self) -> None:
        """Runs the command to its end; raises CalledProcessError if its status is not 0."""
        process: subprocess.Popen[bytes] | None = None
        is_told = False

        def terminate(*_: object) -> None:
            nonlocal is_told
            is_told = True
            if process is not None:
                process.terminate()

        # submitit itself lets SIGTERM pass. It may come before the command has begun.
        before = signal.signal(signal.SIGTERM, terminate)
        try:
            process = self.start()
            if is_told:
                process.terminate()
            process.wait()
        finally:
            # Slurm's warning of the time limit leaves from inside a signal handler, with the command still running.
            if process is not None:
                process.terminate()
                self.record_end(process.wait())
            signal.signal(signal.SIGTERM, before)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, self.command)

    def checkpoint(self) -> "DelayedSubmission":
        """Returns what Slurm starts when the time limit has come: the same command, which resumes."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
