"""The benchmark's end of the conversation with a contender's process."""

import contextlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WORKER = (sys.executable, "-m", "benchmarks.versus.worker")
STDERR_TAIL_LINES = 20


class WorkerError(Exception):
    """A contender that cannot go on; the message is one line, `tail` the end of its standard error."""

    def __init__(self, reason: str, tail: str) -> None:
        super().__init__(reason)
        self.tail = tail


class Worker:
    """A contender's process.

    Args:
      environment: variables on top of this process's.
      command: what speaks the protocol of `benchmarks/versus/worker.py`.
    """

    def __init__(self, environment: Mapping[str, str], command: Sequence[str] = WORKER) -> None:
        # Lives as long as the process does.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            # torch.compile starts processes of its own: they are ended with their group.
            start_new_session=True,
        )
        # A line, or None when the process has closed its end.
        self._answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Sends a request and waits for its answer.

        Raises:
          WorkerError: the process answered that it failed, died, or took too long; it has ended by then.
        """
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self.end(patience_s=0)
            raise WorkerError(
                f"no answer to '{request['do']}' within {timeout_s:g} s", self._tail()
            ) from None
        if line is None:
            self.end()
            status = self._process.returncode
            raise WorkerError(f"died at '{request['do']}', exit status {status}", self._tail())
        answer = json.loads(line)
        if "failed" in answer:
            self.end()
            raise WorkerError(answer["failed"], self._tail())
        return answer

    def end(self, patience_s: float = 5) -> None:
        """Ends the process, and those that it started, if it does not end by itself."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=patience_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _tail(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-STDERR_TAIL_LINES:])
