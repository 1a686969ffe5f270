"""Maps a function over items on several processes, in order and with bounded memory.

Processes, not threads: decoding holds the interpreter's lock, and two threads were as fast as one (2026-11-29, two busy
cores). Each worker has a pipe of its own and ends when that closes, however this process ended; no semaphore or shared
queue outlives it. A Ctrl-C reaches this process alone.
"""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import queue
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from nucseg_jax.core.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
# Items of a worker that wait or are computed.
_AHEAD = 4


def map_in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Iterator[Result]:
    """Yields function(item) of each item, in order; no result depends on the number of workers.

    Args:
      function: of a module, so that other processes find it (or a method of a dataclass, or a `functools.partial`).
        Its module should import no JAX, which takes a second and 100 MB in each worker.
      items: taken as they are needed, up to four for each worker ahead; they and the results travel by pickle.
      workers: processes, started afresh (JAX's threads do not survive a fork); 1 = none, here. A script that asks for
        more has its work below `if __name__ == "__main__":`. See `worker_count`.

    Raises:
      UserError: less than one worker, or the system ended one.
      Exception: what the function raises, at its item's turn.
    """
    if workers < 1:
        raise UserError(f"workers is {workers}", expected="a number of processes, 1 or more")
    return map(function, items) if workers == 1 else _mapped(function, items, workers)


def _mapped(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    with contextlib.ExitStack() as stack:
        idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        for _ in range(workers):
            idle.put(stack.enter_context(_worker(function)))
        # A thread waits for each worker, so that a full pipe blocks nothing else.
        threads = concurrent.futures.ThreadPoolExecutor(workers)
        stack.callback(threads.shutdown, cancel_futures=True)
        waiting: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
        for item in items:
            waiting.append(threads.submit(_ask, idle, item))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextlib.contextmanager
def _worker(function: Callable[[Any], Any]) -> Iterator[Connection]:
    """Starts a process that answers items on the pipe with results, and ends it afterwards."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_answer, args=(theirs, function), daemon=True
    )
    # A terminal sends Ctrl-C to workers too. They inherit the mask, and so never see it, not even while they start.
    # The tracker would lift it when it starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        process.start()
    finally:
        theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield ours
    finally:
        ours.close()
        process.join()


def _ask(idle: "queue.SimpleQueue[Connection]", item: Any) -> Any:
    """Gives an item to a worker and returns its result, or raises what the function raised."""
    worker = idle.get()
    try:
        worker.send(item)
        has_result, value = worker.recv()
    except (EOFError, OSError) as error:
        raise UserError(
            "a process that finds nuclei was ended before its work was done",
            advice="see whether the system ran out of memory, and run the command again; taskset -c 0 before it keeps"
            " all work in one process",
        ) from error
    finally:
        idle.put(worker)
    if not has_result:
        raise value
    return value


def _answer(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """Runs in a worker: answers every item until the other end of the pipe is closed."""
    with pipe, contextlib.suppress(EOFError, OSError):
        while True:
            item = pipe.recv()
            try:
                answer = True, function(item)
            except Exception as error:
                # The traceback itself does not travel.
                error.add_note(traceback.format_exc())
                answer = False, error
            pipe.send(answer)
