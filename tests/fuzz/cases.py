"""How many cases a property gets, and how each must end: with success or one documented error, within bounds.

`make test` runs a few hundred cases, always the same ones; `benchmarks/fuzz.py` multiplies them and draws new ones.
"""

import collections
import contextlib
import json
import math
import os
import pathlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import jax

from nucseg_jax.core.errors import UserError
from nucseg_jax.runtime.peak_memory import forget_peak, peak_bytes

# What benchmarks/fuzz.py sets: cases a property are multiplied by it.
FACTOR = float(os.environ.get("NUCSEG_FUZZ_FACTOR", "1"))
# Where the number of cases by their end is written, one JSON line a property.
TALLY = os.environ.get("NUCSEG_FUZZ_TALLY", "")

# No reader needs as much for files of a few MB. Seconds guard against a hang, not against a slow machine.
MOST_MIB = 512
MOST_SECONDS = 60
LONGEST_MESSAGE = 10_000
# What no reader of a file may cause; https://docs.python.org/3/library/audit_events.html
FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pickle.find_class",
    "socket.connect",
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

ends: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
_watch = threading.local()


def fuzzed(cases: int) -> Callable[[Any], Any]:
    """Settings of a property with so many cases in `make test`."""
    return hypothesis.settings(
        max_examples=math.ceil(cases * FACTOR),
        derandomize=not TALLY,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def ends_well(name: str, read: Callable[[], Any], *, folder: pathlib.Path) -> Any:
    """Runs a reader of hostile input and returns what it read, or its error.

    Args:
      name: of the property, for the tally.
      read: the reader.
      folder: the only one that files may be written in, beside the system's for temporary files.
    """
    forget_peak()
    before, begin = peak_bytes(jax.devices()[0]), time.monotonic()
    try:
        with _watched(folder):
            outcome = read()
    except UserError as error:
        outcome = error
    seconds, rise_mib = time.monotonic() - begin, (peak_bytes(jax.devices()[0]) - before) >> 20
    assert rise_mib < MOST_MIB, f"{rise_mib} MiB"
    assert seconds < MOST_SECONDS, f"{seconds} s"
    is_refused = isinstance(outcome, UserError)
    if is_refused:
        message = str(outcome)
        assert message.strip(), "an empty message"
        assert len(message) < LONGEST_MESSAGE, f"a message of {len(message)} characters"
        assert "Traceback" not in message, message
    ends[name]["refused" if is_refused else "read"] += 1
    return outcome


@contextlib.contextmanager
def _watched(folder: pathlib.Path) -> Iterator[None]:
    """No process, connection or pickle, and no file outside the folder, while the block runs in this thread."""
    _watch.seen, _watch.folders = [], (os.path.realpath(folder), os.path.realpath(tempfile.gettempdir()))
    try:
        yield
        assert not _watch.seen, _watch.seen
    finally:
        del _watch.seen


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not hasattr(_watch, "seen"):
        return
    if event in FORBIDDEN:
        _watch.seen.append((event, str(arguments)[:200]))
    elif event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & _WRITING:
        path = os.path.realpath(arguments[0])
        if not any(os.path.commonpath((path, allowed)) == allowed for allowed in _watch.folders):
            _watch.seen.append((event, path))


sys.addaudithook(_audit)


def write_tally(path: str) -> None:
    """Adds the cases of this process by property and end to a file of JSON lines."""
    with pathlib.Path(path).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({"property": name, **counter}) + "\n" for name, counter in ends.items())
