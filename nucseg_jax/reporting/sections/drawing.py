"""Charts: one look for all of them, and PNG bytes that are the same for the same numbers.

Colours are those of Okabe & Ito (2008), which the colour-blind can tell apart; markers, dashes and hatches repeat what
they say. Figures are made without pyplot, so that nothing is kept between them.
"""

import functools
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Chart
from matplotlib.ticker import MaxNLocator
from PIL import ImageFont

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
INK = "#1c1c22"
FAINT = "#6a6a75"
WIDTH_IN = 6.4
# Of a name beside an axis; a longer one leaves no place for what is drawn.
LABEL_IN = 2.0
# More lines than this in one chart cannot be told apart.
MOST_LINES = 6
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "grid.color": "#e3e3e6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    # A dollar in a name is a dollar.
    "text.parse_math": False,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
}
_DPI = 160

T = TypeVar("T")


class Look(NamedTuple):
    """How one of several configurations is drawn."""

    color: str
    marker: str
    dash: str | tuple[int, tuple[int, ...]]
    hatch: str


LOOKS = (
    Look(BLUE, "o", "-", ""),
    Look(VERMILLION, "s", (0, (5, 2)), "//"),
    Look(GREEN, "D", (0, (1, 1)), ".."),
    Look(PURPLE, "^", (0, (5, 1, 1, 1)), "xx"),
    Look(ORANGE, "v", (0, (8, 2)), "\\\\"),
    Look(SKY, "P", (0, (3, 1, 1, 1, 1, 1)), "++"),
)


def chart(draw: Callable[[Chart], None], *, height_in: float, width_in: float = WIDTH_IN) -> bytes:
    """A PNG of what `draw` puts on an empty figure."""
    with mpl.rc_context(_STYLE):
        figure = Chart(figsize=(width_in, height_in), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        buffer = io.BytesIO()
        # Without matplotlib's version, which would make equal pictures unequal files.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def chunks(items: Sequence[T], size: int) -> Iterator[tuple[int, Sequence[T]]]:
    """(position of the first, `size` items or what is left) after one another.

    >>> list(chunks("abcde", 2))
    [(0, 'ab'), (2, 'cd'), (4, 'e')]
    """
    for start in range(0, len(items), size):
        yield start, items[start : start + size]


def panels(figure: Chart, number: int, *, columns: int = 2) -> list[Axes]:
    """So many axes in rows of `columns`, sharing both scales; one alone takes the whole width."""
    columns = min(columns, number)
    rows = -(-number // columns)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    axes: list[Axes] = grid.ravel().tolist()
    for unused in axes[number:]:
        unused.set_visible(False)
    # Above an unused place the last panel is the lowest of its column.
    for lowest in axes[max(0, number - columns) : number]:
        lowest.tick_params(labelbottom=True)
    return axes[:number]


def epoch_axis(axes: Axes) -> None:
    """Whole numbers alone: there is no epoch 2.5."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_xlabel("epoch")


def panel_rows(number: int, *, columns: int = 2) -> int:
    """Rows that `panels` makes."""
    return -(-number // min(columns, max(number, 1)))


def wrapped(text: str, *, width_in: float, size_pt: float = 10, bold: bool = False) -> str:
    """The text with line breaks, so that it fits a width."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _length_in(longer, size_pt, bold) <= width_in:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def fitted(text: str, *, width_in: float, size_pt: float = 9) -> str:
    """The text, or as much of its two ends as fits a width: names of files differ at either.

    >>> fitted("x" * 200, width_in=0.5, size_pt=9)
    'xxx…xx'
    """
    if _length_in(text, size_pt) <= width_in:
        return text
    for kept in range(len(text) - 1, 0, -1):
        shorter = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
        if _length_in(shorter, size_pt) <= width_in:
            return shorter
    return "…"


def _length_in(text: str, size_pt: float, bold: bool = False) -> float:
    # Of DejaVu Sans, which matplotlib brings along: glyphs are wider than those of most fonts.
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return float(_font(name).getlength(text)) / 100 * size_pt / 72


@functools.cache
def _font(name: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(f"{mpl.get_data_path()}/fonts/ttf/{name}", 100)


def legend_below(figure: Chart, source: Axes, *, columns: int) -> None:
    """One legend for the figure, below everything."""
    handles, labels = source.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, handlelength=2.8)
