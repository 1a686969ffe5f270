import os
import pathlib
import subprocess
import sys

import pytest

from nucseg_jax.reporting.sections.drawing import chart

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent


@pytest.mark.parametrize("name", [r"weights/$\frac{$", "a$b$c", "two\nlines", "^_{}"])
def test_a_name_is_drawn_as_text_and_not_as_a_formula(name):
    def draw(figure):
        axes = figure.subplots()
        axes.plot([1, 2], label=name)
        axes.set_title(name)
        figure.legend()
        for text in (axes.title, *figure.legends[0].get_texts()):
            assert not text.get_parse_math()

    assert chart(draw, height_in=2).startswith(b"\x89PNG")


def test_a_users_own_figures_keep_the_backend_of_the_shell():
    code = (
        "import os, nucseg_jax.reporting.sections, matplotlib;"
        "print(matplotlib.get_backend(), os.environ['MPLBACKEND'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MPLBACKEND": "svg", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["svg", "svg"], done.stderr
