"""Charts as data, and as SVG: panels 360 units wide, which a page lays out side by side, or one below the other.

Colours are those of Okabe & Ito (2008), which the colour-blind can tell apart; dashes and markers repeat what they
mean. A chart's CSV file holds the points that are drawn.

    Chart   panels of lines over a shared scale       curves, calibration
    Forest  rows of points with intervals             configurations
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from PIL import ImageFont

from nucseg_jax.evaluation.contact_sheet import broken, shortened

WIDTH = 360
_LEFT, _RIGHT, _PLOT, _LINE = 42, 350, 150, 14
# Lines in one panel; more cannot be told apart.
MOST_LINES = 6
# System fonts of a browser are wider than the one that measures.
_WIDER = 1.12


# (x, y); y is None where it is undefined.
Point = tuple[float, float | None]


class Series(NamedTuple):
    """Points of one look (0 to 5: colour, dash, marker) and style.

    Styles are 'line', 'marked' (a line with markers), 'thin' and 'ring' (hollow points); the last two have no entry in
    the legend.
    """

    name: str
    points: tuple[Point, ...]
    look: int = 0
    style: str = "line"


class Panel(NamedTuple):
    """One set of axes."""

    title: str
    series: tuple[Series, ...]


class Row(NamedTuple):
    """A name, its value with the limits of an interval (NaN = undefined), and single values behind it."""

    name: str
    interval: tuple[float, float, float]
    singles: tuple[float | None, ...] = ()


@dataclasses.dataclass(frozen=True)
class Chart:
    """Lines in panels over x, all on one scale.

    With the line y = x over 0..1 if `has_diagonal`; with the name of y at the right, where lines that fall leave room,
    if `is_falling`.
    """

    x: str
    y: str
    panels: tuple[Panel, ...]
    is_log: bool = False
    has_diagonal: bool = False
    is_falling: bool = False

    def csv(self) -> tuple[tuple[str, ...], tuple[tuple[str | float | None, ...], ...]]:
        """Returns columns and rows of the CSV file."""
        rows = [
            (panel.title, series.name, *point)
            for panel in self.panels
            for series in panel.series
            for point in series.points
        ]
        return ("panel", "series", "x", "value"), tuple(rows)

    def draw(self) -> list["Drawing"]:
        """Draws the panels."""
        points = [point for panel in self.panels for series in panel.series for point in series.points]
        if self.has_diagonal:
            x_scale, y_scale = Scale(0, 1, _LEFT, _RIGHT), Scale(0, 1, _PLOT, 0)
        else:
            values = [y for _, y in points if y is not None]
            x_scale = Scale.of([x for x, _ in points], _LEFT + 4, _RIGHT - 4)
            y_scale = Scale.of(values, _PLOT, 0, is_log=self.is_log, margin=0.06)
        return [_panel(self, panel, x_scale, y_scale) for panel in self.panels]


@dataclasses.dataclass(frozen=True)
class Forest:
    """Values with intervals, one below the other, and lines to compare them with, by name."""

    x: str
    rows: tuple[Row, ...]
    lines: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def csv(self) -> tuple[tuple[str, ...], tuple[tuple[str | float | None, ...], ...]]:
        """Returns columns and rows of the CSV file."""
        rows: list[tuple[str | float | None, ...]] = []
        for row in self.rows:
            rows += [(row.name, *row.interval), *((row.name, each, None, None) for each in row.singles)]
        rows += [(name, each, None, None) for name, each in self.lines.items()]
        return ("row", "value", "low", "high"), tuple(rows)

    def draw(self) -> list["Drawing"]:
        """Draws the rows."""
        values = [each for row in self.rows for each in (*row.interval, *row.singles)]
        there = [each for each in (*values, *self.lines.values()) if each is not None and math.isfinite(each)]
        scale = Scale.of(there, 8, WIDTH - 12, margin=0.04)
        marks: list[Element] = []
        y = 14.0
        for row in self.rows:
            words, below = _words(row.name, 2, y, "name", WIDTH - 4)
            at = below - 4
            value, low, high = row.interval
            if math.isfinite(low) and math.isfinite(high):
                marks.append(_line(scale(low), at, scale(high), at, "bar s0"))
            if math.isfinite(value):
                marks.append(_marker(0, "mark", scale(value), at))
            marks += [_marker(0, "ring", scale(each), at) for each in row.singles if each is not None]
            marks += words
            y = at + 24
        behind = [_line(scale(tick), 0, scale(tick), y - 10, "grid") for tick in scale.ticks()]
        behind += [_line(scale(each), 0, scale(each), y - 10, "rule") for each in self.lines.values()]
        axis = [_text(scale(tick), y + 2, f"{tick:g}", "tick", "middle") for tick in scale.ticks()]
        axis.append(_text(WIDTH - 4, y + 17, self.x, "label", "end"))
        y += 34
        for name, value in self.lines.items():
            words, y = _words(f"dashed: {name} {value:.3f}", 4, y, "tick", WIDTH - 8)
            axis += words
        return [Drawing(round(y - 8, 2), (*behind, *marks, *axis))]


class Element(NamedTuple):
    """An element of SVG."""

    tag: str
    attributes: dict[str, str | float]
    text: str = ""


class Drawing(NamedTuple):
    """A panel, drawn: its height and elements."""

    height: float
    elements: tuple[Element, ...]


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
        low, high, at = (math.log(each) if self.is_log else each for each in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, most: int = 5, *, is_whole: bool = False) -> list[float]:
        """Returns round values within the scale.

        >>> Scale(0.71, 0.86, 0, 1).ticks(), Scale(0.1, 30, 0, 1, is_log=True).ticks()
        ([0.75, 0.8, 0.85], [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0])
        """
        if self.is_log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            candidates = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
            return [tick for tick in candidates if self.low <= tick <= self.high]
        span = (self.high - self.low) or 1.0
        power = 10.0 ** math.floor(math.log10(span / most))
        steps = [step * power for step in (1, 2, 5, 10, 20) if not is_whole or step * power >= 1]
        step = next((step for step in steps if span / step <= most), steps[-1])
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 10) for number in range(first, last + 1)]


def _panel(chart: Chart, panel: Panel, x_scale: Scale, y_scale: Scale) -> Drawing:
    title, top = _words(panel.title, 0, _LINE, "title", WIDTH)
    top -= 8
    plot: list[Element] = []
    for tick in y_scale.ticks():
        plot.append(_line(_LEFT, y_scale(tick), _RIGHT, y_scale(tick), "grid"))
        plot.append(_text(_LEFT - 5, y_scale(tick) + 4, f"{tick:g}", "tick", "end"))
    for tick in x_scale.ticks(6, is_whole=not chart.has_diagonal):
        plot.append(_text(x_scale(tick), _PLOT + 15, f"{tick:g}", "tick", "middle"))
    if chart.has_diagonal:
        plot.append(_line(x_scale(0), y_scale(0), x_scale(1), y_scale(1), "rule"))
    for series in panel.series:
        points = [(x_scale(x), None if y is None else y_scale(y)) for x, y in series.points]
        plot += _drawn(series, points)
    plot += [
        _text(_RIGHT, _PLOT + 30, chart.x, "label", "end"),
        _text(_RIGHT, 10, chart.y, "label", "end")
        if chart.is_falling
        else _text(_LEFT + 4, 10, chart.y, "label", "start"),
    ]
    legend, height = _legend(panel.series, _PLOT + 34)
    down = {"transform": f"translate(0 {round(top, 2)})"}
    moved = (each._replace(attributes={**each.attributes, **down}) for each in (*plot, *legend))
    return Drawing(round(top + height + 4, 2), (*title, *moved))


def _legend(series: Sequence[Series], top: float) -> tuple[list[Element], float]:
    """Returns an entry for each line, side by side where they fit, and the height below them."""
    entries = {each.name: each for each in series if each.style in ("line", "marked")}
    if len(entries) < 2:
        return [], top
    elements: list[Element] = []
    x, y = 4.0, top + 12
    for name, each in entries.items():
        short = shortened(name, _font(), int((WIDTH - 40) / _WIDER))
        width = 40 + _WIDER * float(_font().getlength(short))
        if x > 4 and x + width > WIDTH:
            x, y = 4.0, y + _LINE + 2
        elements += _drawn(each, [(x, y - 4), (x + 22, y - 4)])
        elements.append(_text(x + 28, y, short, "tick", "start"))
        x += width
    return elements, y + 4


def _drawn(series: Series, points: Sequence[tuple[float, float | None]]) -> list[Element]:
    """Draws a series; a point without y breaks its line."""
    elements: list[Element] = []
    if series.style != "ring":
        path, pen = [], "M"
        for x, y in points:
            if y is not None:
                path.append(f"{pen}{x} {y}")
            pen = "M" if y is None else "L"
        kind = "thin" if series.style == "thin" else "line"
        elements.append(
            Element("path", {"d": " ".join(path), "class": f"{kind} s{series.look} d{series.look}"})
        )
    if series.style in ("marked", "ring") or len(points) == 1:
        kind = "ring" if series.style == "ring" else "mark"
        elements += [_marker(series.look, kind, x, y) for x, y in points if y is not None]
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


def _marker(look: int, kind: str, x: float, y: float) -> Element:
    return Element("path", {"d": f"M{x} {round(y, 2)}{_SHAPES[look]}", "class": f"{kind} s{look}"})


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> Element:
    return Element("path", {"d": f"M{x1} {round(y1, 2)}L{x2} {round(y2, 2)}", "class": name})


def _text(x: float, y: float, text: str, name: str, anchor: str) -> Element:
    return Element("text", {"x": round(x, 2), "y": round(y, 2), "class": name, "text-anchor": anchor}, text)


def _words(text: str, x: float, y: float, name: str, width: int) -> tuple[list[Element], float]:
    """Returns a text in lines that fit a width, three at most, and where the next line would stand."""
    room = int(width / _WIDER)
    lines = [shortened(line, _font(), room) for line in broken(text, _font(), room)[:3] if line]
    elements = [_text(x, y + _LINE * number, line, name, "start") for number, line in enumerate(lines)]
    return elements, y + _LINE * len(lines)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(12)
