import io
import sys

import pytest

from nucseg_jax.evaluation.progress import with_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "text", "is_shown"),
    [(Terminal, "scoring test", True), (io.StringIO, "scoring test", False), (Terminal, "", False)],
)
def test_a_terminal_alone_shows_what_is_scored_and_how_far(monkeypatch, stream, text, is_shown):
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    assert list(with_bar(iter("abc"), text, 3)) == ["a", "b", "c"]
    assert ("scoring test" in shown.getvalue() and "/3" in shown.getvalue()) == is_shown
    # Nothing of it stays in a log file.
    assert is_shown or not shown.getvalue()
