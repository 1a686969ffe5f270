import os
import pathlib
import subprocess
import sys

import pytest
from nucseg_jax.reporting.sections.drawing import LABEL_IN, WIDTH_IN, chart, fitted

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


@pytest.mark.parametrize(
    "name", ["G" * 200, "W" * 40 + "_slide_" + "i" * 90 + "7.svs", "slide 7", "ümläut " * 20]
)
def test_a_long_name_leaves_most_of_the_chart_to_what_is_drawn(name):
    shown = fitted(name, width_in=LABEL_IN)
    assert shown == name or ("…" in shown and shown[:2] == name[:2] and shown[-2:] == name[-2:])

    def draw(figure):
        axes = figure.subplots()
        axes.set_yticks([0, 1], [f"{shown} (12)", "other (3)"])
        figure.canvas.draw()
        assert axes.get_position().width * WIDTH_IN > WIDTH_IN / 2
        left = min(label.get_window_extent().x0 for label in axes.get_yticklabels())
        assert left >= 0

    chart(draw, height_in=2)


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
