import errno
import math
import os
import signal
import stat
import subprocess
import sys

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import (
    atomic_write,
    is_full_disk,
    open_to_append,
    own_files_explained,
    write_json,
)
from nucseg_jax.core.lock import file_lock
from nucseg_jax.runtime.stopwatch import Stopwatch


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"value": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"value": math.nan})

    def write_half():
        with atomic_write(path) as temporary:
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
        "from nucseg_jax.core.files import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('new')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], env={**os.environ, "PYTHONPATH": "."})
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def append(path):
    with open_to_append(path) as file:
        file.write("ours")


def hold(path):
    with file_lock(path, busy="", advice=""):
        pass


@pytest.mark.parametrize("write", [append, hold])
@pytest.mark.parametrize("content", ["precious", None])
def test_nothing_is_written_through_a_link(tmp_path, write, content):
    """In a folder that others may write to they choose what our names lead to."""
    target, link = tmp_path / "of_somebody", tmp_path / "ours"
    if content is not None:
        target.write_text(content)
    link.symlink_to(target)
    with pytest.raises(OSError, match="ours is a link") as error:
        write(link)
    assert error.value.errno == errno.ELOOP
    assert target.exists() == (content is not None)
    assert content is None or target.read_text() == content


def test_a_lock_keeps_what_the_file_holds(tmp_path):
    """A second name (hard link) of another file cannot be told from a file of ours."""
    (tmp_path / "lock").write_text("precious")
    hold(tmp_path / "lock")
    assert (tmp_path / "lock").read_text() == "precious"


def test_a_link_under_the_temporary_name_is_not_written_through(tmp_path, monkeypatch):
    target = tmp_path / "of_somebody"
    target.write_text("precious")
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    for guess in (f".a.json.{os.getpid()}.part", ".a.json.guessed.part"):
        (tmp_path / guess).symlink_to(target)
    with pytest.raises(FileExistsError):
        write_json(tmp_path / "a.json", 1)
    monkeypatch.undo()
    write_json(tmp_path / "a.json", 1)
    assert target.read_text() == "precious"
    assert (tmp_path / "a.json").read_text() == "1\n"


@pytest.mark.parametrize(
    "put",
    [lambda path: path.mkdir(), lambda path: path.symlink_to("nowhere"), lambda path: path.symlink_to(path)],
)
def test_what_stands_in_the_place_of_a_file_of_ours_is_one_error(tmp_path, put):
    put(tmp_path / "log")
    with (
        pytest.raises(UserError, match=r"(?s)log cannot be used: .*move it away"),
        own_files_explained(tmp_path),
    ):
        open_to_append(tmp_path / "log")
    with pytest.raises(OSError, match="log"), own_files_explained(tmp_path / "other"):
        open_to_append(tmp_path / "log")


def test_files_get_the_mode_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "a.json", 1)
        hold(tmp_path / "lock")
        append(tmp_path / "log")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}


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
