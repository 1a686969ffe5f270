"""Starts `launch.py` in processes that need not import anything any more: two seconds less each, and there are many.

A server imports what the commands import, and for each start forks twice: what the second fork leaves is a process of
its own, with the arguments, environment, folder and streams that were asked for, whose parent is the caller. Signals,
exit status and `subprocess.Popen`'s methods are those of any process. Linux only; elsewhere `Popen` serves.
"""

import ctypes
import gc
import json
import os
import pathlib
import runpy
import socket
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAUNCH = ROOT / "launch.py"
PR_SET_CHILD_SUBREAPER = 36
MESSAGE_BYTES = 1 << 17


def is_warm_enough(environment: dict[str, str]) -> bool:
    """Whether a process with these variables may come from a server: an interpreter reads some when it starts."""
    return all(
        environment.get(name) == os.environ.get(name)
        for name in environment.keys() | os.environ.keys()
        if name.startswith(("PYTHON", "LC_", "LANG", "LD_", "MALLOC", "GLIBC"))
    )


class WarmServer:
    """The process that has imported everything; ends with the one that made it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = "import sys; from tests.warm_process import serve; serve(int(sys.argv.pop()))"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(theirs.fileno())], pass_fds=[theirs.fileno()], cwd=ROOT
        )
        theirs.close()

    def start(
        self, arguments: list[str], environment: dict[str, str], folder: str, streams: list[int]
    ) -> int:
        """Starts `launch.py` with the arguments; returns the number of the process, a child of this one."""
        request = json.dumps([arguments, environment, folder]).encode()
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        # While its first parent ends, and no longer: orphans of other tests are nobody's here.
        assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        try:
            socket.send_fds(self._socket, [request], streams)
            return int(self._socket.recv(MESSAGE_BYTES))
        finally:
            prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


class WarmProcess(subprocess.Popen):
    """`subprocess.Popen([sys.executable, "launch.py", ...])`, started by a `WarmServer`."""

    def __init__(self, server: WarmServer, arguments: list[str], **options):
        self._server = server
        super().__init__(arguments, **options)

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *others):
        # startupinfo, creationflags and shell come between, and what differs from version to version after.
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite = others[3:9]
        streams = [given if given >= 0 else own for own, given in enumerate((p2cread, c2pwrite, errwrite))]
        self.pid = self._server.start(
            [str(each) for each in args], dict(env or os.environ), os.fspath(cwd or os.getcwd()), streams
        )
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)


def serve(number: int) -> None:
    """Answers requests until the other side ends; returns in the process of a command, once it is done."""
    # Named in messages; see `core.program`.
    sys.argv = [str(LAUNCH)]
    import jax

    import nucseg_jax.cli.convert
    import nucseg_jax.cli.evaluate
    import nucseg_jax.cli.main
    import nucseg_jax.cli.predict
    import nucseg_jax.cli.prepare
    import nucseg_jax.cli.report
    import nucseg_jax.cli.sweep
    import nucseg_jax.cli.train  # noqa: F401

    # OpenBLAS and jemalloc, which see to a fork themselves, are all that may have some.
    assert threading.active_count() == 1, "a process with threads must not fork"
    own_environment = dict(os.environ)
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    requests = socket.socket(fileno=number)
    while True:
        message, streams, _, _ = socket.recv_fds(requests, MESSAGE_BYTES, 3)
        if not message:
            return
        reading, writing = os.pipe()
        between = os.fork()
        if not between:
            process = os.fork()
            if process:
                os.write(writing, str(process).encode())
                os._exit(0)
            requests.close()
            break
        os.waitpid(between, 0)
        requests.send(os.read(reading, MESSAGE_BYTES))
        for each in (reading, writing, *streams):
            os.close(each)
    for own, given in enumerate(streams):
        os.dup2(given, own)
    for each in (reading, writing, *streams):
        os.close(each)
    # As an interpreter opens them.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1 if os.isatty(1) else -1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    arguments, environment, folder = json.loads(message)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    # JAX reads its own variables when it is imported.
    for name in {name for name in environment if name.startswith("JAX_")}:
        if environment[name] != own_environment.get(name):
            value = environment[name]
            jax.config.update(name.lower(), int(value) if value.isdigit() else value)
    sys.argv = [str(LAUNCH), *arguments]
    sys.path[0] = str(ROOT)
    runpy.run_path(str(LAUNCH), run_name="__main__")
