"""The process of one step: measures its rows and ends with a status that tells how far it came.

    python -m benchmarks.accelerator.worker MODULE SETTINGS RESULT SECONDS

MODULE has a function `measure(settings, ledger)`. The process ends with all that it started when its standard input
closes, which happens when whoever started it ends in whatever way.
"""

import contextlib
import importlib
import json
import os
import pathlib
import signal
import sys
import threading
import time
import traceback

from benchmarks.accelerator.ledger import (
    BROKEN,
    COMPLETE,
    OUT_OF_TIME,
    RESTART,
    DeviceBrokenError,
    Ledger,
    OutOfTimeError,
    SkippedError,
    described,
)
from benchmarks.accelerator.settings import Settings

PATIENCE_S = 3.0


def end_with_the_runner() -> None:
    """Ends this process once standard input is closed: so that it ends its commands, then with its group."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_S)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    module, settings, path, seconds = arguments
    threading.Thread(target=end_with_the_runner, daemon=True).start()
    # So that commands and contenders, in groups of their own, are ended by their `finally`.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    ledger = Ledger(pathlib.Path(path), time.monotonic() + float(seconds))
    # Of an attempt before this one.
    ledger.result.pop("failed", None)
    ledger.result.pop("skipped", None)
    try:
        importlib.import_module(module).measure(Settings(**json.loads(settings)), ledger)
    except OutOfTimeError:
        return OUT_OF_TIME
    except DeviceBrokenError as error:
        print(f"the device is in doubt after: {error}", flush=True)
        return RESTART
    except SkippedError as error:
        ledger.note(skipped=str(error))
        return COMPLETE
    except Exception as error:
        traceback.print_exc()
        ledger.note(failed=described(error))
        return BROKEN
    ledger.note(complete=True)
    return COMPLETE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
