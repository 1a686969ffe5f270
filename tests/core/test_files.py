import errno
import math
import os
import signal
import subprocess
import sys

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import is_full_disk, replaced_at_once, write_json
from nucseg_jax.core.stopwatch import Stopwatch


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"value": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"value": math.nan})

    def write_half():
        with replaced_at_once(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == '{\n  "value": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    program = (
        "import os, pathlib, sys\n"
        "from nucseg_jax.core.files import replaced_at_once\n"
        "with replaced_at_once(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('new')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], env={**os.environ, "PYTHONPATH": "."})
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "any text"), True),
        (OSError(errno.EDQUOT, "any text"), True),
        (OSError(errno.EACCES, os.strerror(errno.ENOSPC)), False),
        (ValueError(f"Error writing: {os.strerror(errno.ENOSPC)} [source]"), True),
        (RuntimeError("something else"), False),
        (UserError(f"told already: {os.strerror(errno.ENOSPC)}"), False),
    ],
)
def test_a_full_disk_is_known_by_its_number_or_by_its_text_where_a_library_hides_the_number(error, expected):
    assert is_full_disk(error) == expected


def test_a_user_error_says_found_expected_and_advice():
    assert (
        str(UserError("a is 3", expected="4", advice="set a")) == "a is 3\nExpected: 4.\nWhat to do: set a."
    )


def test_phases_inside_phases_count_once(monkeypatch):
    clock = iter([0.0, 10.0, 13.0, 20.0, 21.0, 21.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    watch = Stopwatch()  # 0
    with watch.phase("training"), watch.phase("validation"):  # 10, 13
        pass  # 20, 21
    assert watch.seconds == {"training": 3.0 + 1.0, "validation": 7.0}  # 21
