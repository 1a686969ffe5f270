"""Preemption (SIGTERM) while there is nothing to save: the process ends with the status that asks for a rerun."""

import os
import signal
import threading
from typing import NoReturn

from nucseg_jax.core.errors import STATUS_TO_REQUEUE

_MESSAGE = b"\npreempted (SIGTERM): there was nothing new to save; rerun the same command to resume\n"


def leave_when_told() -> None:
    """Makes SIGTERM end this process with `STATUS_TO_REQUEUE`, until another handler takes its place.

    Also in the middle of a compilation, which may take longer than a cluster waits: Python runs handlers between two
    operations of the main thread only, so a second thread looks out for the signal. Files are replaced as a whole, as
    for a process that is killed.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_watch, args=(read_end,), daemon=True).start()
    # A child that is told to end would write into the same pipe.
    os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    signal.set_wakeup_fd(-1)
    if signal.getsignal(signal.SIGTERM) is _leave:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(*_: object) -> NoReturn:
    os.write(2, _MESSAGE)
    os._exit(STATUS_TO_REQUEUE)


def _watch(read_end: int) -> NoReturn:
    while True:
        if signal.SIGTERM in os.read(read_end, 64) and signal.getsignal(signal.SIGTERM) is _leave:
            _leave()
