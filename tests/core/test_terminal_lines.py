"""Lines for a terminal: nothing is lost by wrapping, and a wrapped command is the same command."""

import subprocess

import pytest

from nucseg_jax.core.terminal_lines import COLUMNS, labelled, labelled_command

WORDS = ("python", "launch.py", "predict", "--workdir=runs/my run", "--inputs=images/*.png", "--out=", "it's")


@pytest.mark.parametrize("repeats", [1, 2, 9])
def test_a_command_is_read_as_its_words_however_long_it_is(repeats):
    words = WORDS * repeats
    text = labelled_command("predict", words)
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert text.startswith("predict   python")
    shell = f"predict() {{ printf '%s\\n' \"$@\"; }}\n{text}"
    read = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout
    assert tuple(read.splitlines()) == words


@pytest.mark.parametrize("columns", [10, 12])
def test_a_wrapped_text_has_the_same_words_below_one_another(columns):
    text = "one two-three four's " * 20 + "x" * 90
    lines = labelled("label", text, columns=columns).splitlines()
    assert " ".join(lines).split() == ["label", *text.split()]
    assert all(line[:columns].strip() == "" for line in lines[1:])
    assert [line for line in lines if len(line) > COLUMNS] == [" " * columns + "x" * 90]
