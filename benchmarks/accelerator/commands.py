"""Commands of the package that a step runs in processes of their own, and what they print."""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO, Any

from benchmarks.accelerator.ledger import Ledger, OutOfTimeError
from benchmarks.accelerator.settings import LAUNCH, ROOT, Settings, environment

_ERROR = re.compile(r"error\b|unknown flag|out of memory|RESOURCE_EXHAUSTED|^\w+(Error|Exception):", re.I)
# A row that takes longer is stuck, and others wait.
LONGEST_COMMAND_S = 420.0


class CommandError(Exception):
    """A command that failed; the message is one line."""


def run_command(
    command: Sequence[str],
    ledger: Ledger,
    variables: Mapping[str, str],
    *,
    longest_s: float = LONGEST_COMMAND_S,
) -> str:
    """Runs a command in the repository's root.

    Args:
      command: program and arguments.
      ledger: of the step, for the time that is left.
      variables: the whole environment.
      longest_s: more is a failure of this command.

    Returns:
      Its standard output. What it started and left has ended too.

    Raises:
      CommandError: it failed, or took longer than `longest_s`.
      OutOfTimeError: the step's time was over before its end.
    """
    allowed = min(longest_s, ledger.seconds_left)
    if allowed <= 0:
        raise OutOfTimeError
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        # Files: a pipe stays open as long as anything holds it that the command has started and left.
        process = subprocess.Popen(
            command, stdout=output, stderr=errors, cwd=ROOT, env=variables, start_new_session=True
        )
        try:
            status = process.wait(allowed)
        except subprocess.TimeoutExpired:
            if allowed < longest_s:
                raise OutOfTimeError from None
            raise CommandError(f"it did not end within {longest_s:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        printed, said = (_text(file) for file in (output, errors))
    if status:
        print(said[-4000:], flush=True)
        raise CommandError(f"exit status {status}: {last_words(said or printed)}")
    return printed


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def last_words(text: str) -> str:
    """Returns the last line that speaks of an error, of those without one the last; bounded."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    speaking = [line for line in lines if _ERROR.search(line)]
    return (speaking or lines or ["it printed nothing"])[-1][:300]


def profiled(
    settings: Settings, ledger: Ledger, model: str, flags: Sequence[str], **variables: str
) -> dict[str, Any]:
    """Runs `profile --json` on a paper config; see `nucseg_jax/cli/profile.py` for what it measures.

    Args:
      settings, ledger: of the step.
      model: name of a config.
      flags: of `profile`, and config fields.
      variables: of the environment.

    Returns:
      What it printed: `rows`, one each case, and `device`.
    """
    command = [
        *(*LAUNCH, "profile", f"--config={ROOT / 'configs' / model}.py", "--json"),
        f"--seconds={settings.seconds}",
        "--config.mesh.data=1",
        *settings.shrunk(model),
        *flags,
    ]
    printed: dict[str, Any] = json.loads(run_command(command, ledger, environment(settings, **variables)))
    return printed


def work_row(printed: Mapping[str, Any], work: str, feed: str = "synthetic") -> dict[str, Any]:
    """Returns the row of a kind of work among those that `profile` printed.

    Raises:
      CommandError: it ran out of memory.
    """
    row: dict[str, Any] = next(row for row in printed["rows"] if (row["work"], row["feed"]) == (work, feed))
    if row["error"] is not None:
        raise CommandError(f"out of memory: {row['error']}")
    return row
