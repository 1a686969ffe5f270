"""Preemption: SIGTERM is noted, and all processes stop training after the same step."""

import contextlib
import itertools
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

from nucseg_jax.core.errors import Preempted


@contextlib.contextmanager
def preemption_requested() -> Iterator[Callable[[], bool]]:
    """Keeps SIGTERM, which schedulers send some time before they kill, from ending the process inside the block.

    Of several processes any may get it: JAX's preemption service, which listens from `jax.distributed.initialize`
    on, tells the others and chooses the step.

    Yields:
      A function to call after every dispatch, by every process; it returns True if training should stop now.
    """
    if jax.process_count() > 1:
        calls = itertools.count()
        yield lambda: multihost_utils.reached_preemption_sync_point(next(calls))
        return
    # Python lets only the main thread listen.
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    noticed = threading.Event()
    afterwards = signal.signal(signal.SIGTERM, lambda *_: noticed.set())
    try:
        yield noticed.is_set
    except Preempted:
        # The process is about to exit; a second SIGTERM must not change its exit status.
        afterwards = signal.SIG_IGN
        raise
    finally:
        signal.signal(signal.SIGTERM, afterwards)
