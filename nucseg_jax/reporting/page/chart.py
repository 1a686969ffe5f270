"""Charts as data, and as SVG: panels 360 units wide, which a page lays out side by side, or one below the other.

Colours are those of Okabe & Ito (2008), which the colour-blind can tell apart; dashes and markers repeat what they
say. A chart's CSV file holds the points that are drawn.

    Chart   panels of lines over a shared scale       curves, calibration, density
    Forest  rows of points with intervals             configurations, classes, groups
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from PIL import ImageFont

from nucseg_jax.reporting.contact_sheet import broken, shortened

WIDTH = 360
_LEFT, _RIGHT, _PLOT = 42, 10, 150
_LINE = 14
# Lines in one panel; more cannot be told apart.
MOST_LINES = 6
# System fonts of a browser are wider than the one that measures.
_WIDER = 1.12


class Point(NamedTuple):
    """A point and its interval, where it has one; x is a position among names where a chart has them."""

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None


class Series(NamedTuple):
    """Points of one look.

    Attributes:
      name: in the legend; thin lines and rings have no entry.
      points: by x.
      look: 0 to 5: colour, dash and marker.
      style: 'line', 'marked' (a line with markers), 'thin', 'points' or 'ring' (hollow points).
    """

    name: str
    points: tuple[Point, ...]
    look: int = 0
    style: str = "line"


class Panel(NamedTuple):
    """One set of axes."""

    title: str
    series: tuple[Series, ...]


@dataclasses.dataclass(frozen=True)
class Chart:
    """Lines in panels, all on one scale.

    Attributes:
      x, y: what the axes show.
      panels: at least one.
      names: of the positions 0, 1, ... on x; () = x is a number.
      is_log: y is logarithmic.
      has_diagonal: with the line y = x.
    """

    x: str
    y: str
    panels: tuple[Panel, ...]
    names: tuple[str, ...] = ()
    is_log: bool = False
    has_diagonal: bool = False


@dataclasses.dataclass(frozen=True)
class Forest:
    """Rows of points with intervals; `Point.x` is the row and `Point.y` the value.

    Attributes:
      x: what the values are.
      rows: names.
      series: a look for each.
      lines: values to compare with, by name.
    """

    x: str
    rows: tuple[str, ...]
    series: tuple[Series, ...]
    lines: Mapping[str, float] = dataclasses.field(default_factory=dict)


class Element(NamedTuple):
    """An element of SVG."""

    tag: str
    attributes: dict[str, str | float]
    text: str = ""


class Drawing(NamedTuple):
    """A panel, drawn: its height and elements."""

    height: float
    elements: tuple[Element, ...]


def rows_of(chart: Chart | Forest) -> tuple[tuple[str, ...], tuple[tuple[str | float | None, ...], ...]]:
    """Returns columns and rows of a chart's CSV file."""
    if isinstance(chart, Forest):
        rows = [
            (chart.rows[int(point.x)], series.name, *point[1:])
            for series in chart.series
            for point in series.points
        ]
        return ("row", "series", "value", "low", "high"), tuple(rows)
    lines = [
        (panel.title, series.name, chart.names[int(point.x)] if chart.names else point.x, *point[1:])
        for panel in chart.panels
        for series in panel.series
        for point in series.points
    ]
    return ("panel", "series", "x", "value", "low", "high"), tuple(lines)


def draw(chart: Chart | Forest) -> list[Drawing]:
    """Draws the panels."""
    if isinstance(chart, Forest):
        return [_forest(chart)]
    points = [point for panel in chart.panels for series in panel.series for point in series.points]
    values = [value for point in points for value in point[1:] if value is not None]
    if chart.has_diagonal:
        x_scale, y_scale = Scale(0, 1, _LEFT, WIDTH - _RIGHT), Scale(0, 1, _PLOT, 0)
    else:
        x_scale = Scale.of(
            [point.x for point in points], _LEFT + 4, WIDTH - _RIGHT - (14 if chart.names else 4)
        )
        y_scale = Scale.of(values, _PLOT, 0, is_log=chart.is_log, margin=0.06)
    return [_panel(chart, panel, x_scale, y_scale) for panel in chart.panels]


class Scale(NamedTuple):
    """A linear or logarithmic map from low..high to start..end."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    @classmethod
    def of(
        cls, values: Sequence[float], start: float, end: float, *, is_log: bool = False, margin: float = 0.0
    ) -> "Scale":
        """Returns the scale that holds all values, with a margin in shares of their range."""
        low, high = min(values, default=0.0), max(values, default=1.0)
        if is_log:
            return cls(low / 1.2, high * 1.2, start, end, True)
        room = margin * (high - low) or (0.0 if margin == 0 else 0.05)
        return cls(low - room, high + room, start, end)

    def __call__(self, value: float) -> float:
        """Maps a value."""
        low, high = (math.log(self.low), math.log(self.high)) if self.is_log else (self.low, self.high)
        at = math.log(value) if self.is_log else value
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, most: int = 5, *, whole: bool = False) -> list[float]:
        """Returns round values within the scale.

        >>> Scale(0.71, 0.86, 0, 1).ticks()
        [0.72, 0.74, 0.76, 0.78, 0.8, 0.82, 0.84, 0.86]
        """
        if self.is_log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            candidates = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
            return [tick for tick in candidates if self.low <= tick <= self.high]
        span = (self.high - self.low) or 1.0
        power = 10.0 ** math.floor(math.log10(span / most))
        steps = [step * power for step in (1, 2, 5, 10) if not whole or step * power >= 1]
        step = next((step for step in steps if span / step <= most + 0.5), steps[-1])
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 10) for number in range(first, last + 1)]


def _panel(chart: Chart, panel: Panel, x_scale: Scale, y_scale: Scale) -> Drawing:
    title, top = _words(panel.title, 0, _LINE, "title", WIDTH)
    top -= 8
    plot: list[Element] = []
    for tick in y_scale.ticks():
        plot.append(_line(_LEFT, y_scale(tick), WIDTH - _RIGHT, y_scale(tick), "grid"))
        plot.append(_text(_LEFT - 5, y_scale(tick) + 4, f"{tick:g}", "tick", "end"))
    names = list(enumerate(chart.names)) or [
        (tick, f"{tick:g}") for tick in x_scale.ticks(6, whole=not chart.has_diagonal)
    ]
    every = -(-len(names) // 7) if chart.names else 1
    for at, name in names[::every]:
        plot.append(_text(x_scale(at), _PLOT + 15, name, "tick", "middle"))
    if chart.has_diagonal:
        plot.append(_line(x_scale(0), y_scale(0), x_scale(1), y_scale(1), "rule"))
    for series in panel.series:
        plot += _drawn(
            series, [(x_scale(x), None if y is None else y_scale(y)) for x, y, _, _ in series.points]
        )
    plot.append(_text(WIDTH - _RIGHT, _PLOT + 30, chart.x, "label", "end"))
    plot.append(_text(_LEFT + 4, 10, chart.y, "label", "start"))
    legend, height = _legend(panel.series, _PLOT + 34)
    group = [_moved(element, top) for element in (*plot, *legend)]
    return Drawing(top + height + 4, (*title, *group))


def _forest(chart: Forest) -> Drawing:
    values = [
        value
        for series in chart.series
        for point in series.points
        for value in point[1:]
        if value is not None
    ]
    scale = Scale.of([*values, *chart.lines.values()], 8, WIDTH - 12, margin=0.04)
    looks = sorted({series.look for series in chart.series})
    pitch = 9
    elements: list[Element] = []
    y = 2.0
    for row, name in enumerate(chart.rows):
        words, below = _words(name, 2, y + 12, "name", WIDTH - 4)
        elements += words
        y = below - 4
        for series in chart.series:
            at = y + pitch * looks.index(series.look)
            for point in series.points:
                if point.x != row or point.y is None:
                    continue
                if point.low is not None and point.high is not None:
                    elements.append(_line(scale(point.low), at, scale(point.high), at, f"bar s{series.look}"))
                elements.append(_marker(series, scale(point.y), at))
        y += pitch * len(looks) + 3
    behind = [_line(scale(tick), 0, scale(tick), y, "grid") for tick in scale.ticks(5)]
    axis = [_text(scale(tick), y + 12, f"{tick:g}", "tick", "middle") for tick in scale.ticks(5)]
    axis.append(_text(WIDTH - 4, y + 27, chart.x, "label", "end"))
    behind += [_line(scale(value), 0, scale(value), y, "rule") for value in chart.lines.values()]
    height = y + 32
    for name, value in chart.lines.items():
        words, below = _words(f"line: {name} {value:.3f}", 4, height + 10, "tick", WIDTH - 8)
        axis += words
        height = below - 8
    legend, height = _legend(chart.series if len(looks) > 1 else (), height)
    return Drawing(height + 4, (*behind, *elements, *axis, *legend))


def _legend(series: Sequence[Series], top: float) -> tuple[list[Element], float]:
    """Returns one entry for each look, side by side where they fit, and the height below them."""
    entries = {each.name: each for each in series if each.style not in ("thin", "ring")}
    if len(entries) < 2:
        return [], top
    elements: list[Element] = []
    x, y = 4.0, top + 12
    for name, each in entries.items():
        short = shortened(name, _font(), int((WIDTH - 40) / _WIDER))
        width = 30 + _WIDER * float(_font().getlength(short)) + 12
        if x > 4 and x + width > WIDTH:
            x, y = 4.0, y + _LINE + 2
        elements += _drawn(each._replace(points=()), [(x, y - 4), (x + 22, y - 4)])
        elements.append(_text(x + 28, y, short, "tick", "start"))
        x += width
    return elements, y + 4


def _drawn(series: Series, points: Sequence[tuple[float, float | None]]) -> list[Element]:
    """Draws a series; a point without y breaks its line."""
    elements: list[Element] = []
    if series.style in ("line", "marked", "thin"):
        path, pen = [], "M"
        for x, y in points:
            if y is not None:
                path.append(f"{pen}{x} {y}")
            pen = "M" if y is None else "L"
        kind = "thin" if series.style == "thin" else "line"
        elements.append(
            Element("path", {"d": " ".join(path), "class": f"{kind} s{series.look} d{series.look}"})
        )
    if series.style not in ("line", "thin") or len(points) == 1:
        elements += [_marker(series, x, y) for x, y in points if y is not None]
    return elements


# By look, around (0, 0): a disc, a square, a diamond, triangles up and down, a cross.
_SHAPES = (
    "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "m-3.5-3.5h7v7h-7z",
    "m0-5l4.5 5l-4.5 5l-4.5-5z",
    "m0-4.5l4.5 8h-9z",
    "m0 4.5l4.5-8h-9z",
    "m-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
)


def _marker(series: Series, x: float, y: float) -> Element:
    kind = "ring" if series.style == "ring" else "mark"
    return Element("path", {"d": f"M{x} {y}{_SHAPES[series.look]}", "class": f"{kind} s{series.look}"})


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> Element:
    return Element("path", {"d": f"M{x1} {round(y1, 2)}L{x2} {round(y2, 2)}", "class": name})


def _text(x: float, y: float, text: str, name: str, anchor: str) -> Element:
    return Element("text", {"x": round(x, 2), "y": round(y, 2), "class": name, "text-anchor": anchor}, text)


def _words(text: str, x: float, y: float, name: str, width: int) -> tuple[list[Element], float]:
    """Returns a text in lines that fit a width, three at most, and where the next line would stand."""
    room = int(width / _WIDER)
    lines = [shortened(line, _font(), room) for line in broken(text, _font(), room)[:3]]
    elements = [_text(x, y + _LINE * number, line, name, "start") for number, line in enumerate(lines)]
    return elements, y + _LINE * len(lines)


def _moved(element: Element, down: float) -> Element:
    return element._replace(attributes={**element.attributes, "transform": f"translate(0 {round(down, 2)})"})


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(12)
