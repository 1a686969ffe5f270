import re

import pytest

from nucseg_jax.reporting.page.chart import WIDTH, Chart, Forest, Panel, Row, Scale, Series

NAMES = ["G" * 200, "W" * 40 + "_slide_" + "i" * 90 + "7.svs", "slide 7", "ümläut " * 20, "a$b$c", "\x00"]


@pytest.mark.parametrize("name", NAMES)
def test_names_leave_most_of_a_chart_to_what_is_drawn(name):
    series = tuple(Series(name + str(look), ((0, 0.2), (1, 0.4)), look) for look in range(6))
    (panel,) = Chart("x", "y", (Panel(name, series),)).draw()
    assert panel.height < 400
    (forest,) = Forest("x", (Row(name, (0.5, 0.4, 0.6)),), {name: 0.2}).draw()
    assert forest.height < 200
    shown = [
        element.text for drawing in (panel, forest) for element in drawing.elements if element.tag == "text"
    ]
    assert max(map(len, shown)) < 60


@pytest.mark.parametrize("is_log", [False, True])
def test_every_point_is_drawn_in_its_place_within_the_panel(is_log):
    points = tuple((x, y) for x, y in enumerate((0.1, 10.0, None, 0.5, 1.0)))
    # Of one name, so that there is no legend.
    marked, line = Series("a", points, 1, "marked"), Series("a", points, 2)
    (drawing,) = Chart("x", "y", (Panel("", (marked, line)),), is_log=is_log).draw()
    marks = [each for each in drawing.elements if str(each.attributes.get("class")).startswith("mark")]
    places = [tuple(map(float, re.findall(r"[-\d.]+", str(mark.attributes["d"]))[:2])) for mark in marks]
    assert len(places) == 4
    assert all(0 <= x <= WIDTH and 0 <= y <= drawing.height for x, y in places)
    # More is higher, and a place without a value breaks the line.
    assert sorted(places, key=lambda place: -place[1]) == [places[0], *places[2:], places[1]]
    line_class = "line s2 d2"
    path, *_ = (
        str(each.attributes["d"]) for each in drawing.elements if each.attributes.get("class") == line_class
    )
    assert re.sub(r"[^ML]", "", path) == "MLML"


def test_a_forest_draws_intervals_where_they_are_defined():
    nan = float("nan")
    rows = (Row("a", (0.5, 0.4, 0.6), (0.45, 0.55)), Row("b", (0.7, nan, nan)), Row("c", (nan, nan, nan)))
    (drawing,) = Forest("Dice", rows).draw()
    kinds = [str(element.attributes["class"]).split()[0] for element in drawing.elements]
    assert [kinds.count(kind) for kind in ("bar", "mark", "ring", "name")] == [1, 2, 2, 3]
    assert "nan" not in str(drawing)


@pytest.mark.parametrize("values", [[0.3], [0.5, 0.5], [1e-9, 2e-9], [-3.0, 1e6], [0.0, 1.0]])
@pytest.mark.parametrize("is_log", [False, True])
def test_a_scale_has_ticks_within_it(values, is_log):
    if is_log:
        values = [abs(value) + 1e-9 for value in values]
    scale = Scale.of(values, 0, 100, is_log=is_log, margin=0.06)
    ticks = scale.ticks()
    assert len(ticks) <= (60 if is_log else 6)
    assert all(-0.01 <= scale(tick) <= 100.01 for tick in ticks)
    assert is_log or ticks


def test_epochs_are_whole_numbers():
    assert Scale(1, 2, 0, 1).ticks(6, is_whole=True) == [1, 2]
    assert Scale(1, 120, 0, 1).ticks(6, is_whole=True) == [20, 40, 60, 80, 100, 120]


def test_nothing_to_draw_makes_a_panel_too():
    (drawing,) = Chart("x", "y", (Panel("empty", (Series("a", ()),)),)).draw()
    assert drawing.height > 0
