"""A document as one HTML file that needs nothing else, and its charts as SVG files: templates of this folder, filled.

The page has no script, its pictures are inside, and its Content-Security-Policy holds a browser to that.
"""

import base64
import functools
import io

import jinja2
from markupsafe import Markup, escape
from PIL import Image

from nucseg_jax.reporting.page.chart import WIDTH, Chart, Forest
from nucseg_jax.reporting.page.document import (
    UNDEFINED,
    Cell,
    Document,
    Picture,
    is_number,
    plain,
    shown,
    spans,
)

_PHOTOGRAPH_QUALITY = 85
# Text longer than this is broken inside a cell.
_LONG = 24
_SVG_COLUMNS, _SVG_GAP = 2, 16


def html_page(document: Document) -> str:
    """Renders the whole file."""
    return _templates().get_template("report.html").render(document=document)


def svg_file(chart: Chart | Forest) -> str:
    """Renders a chart as a file that stands alone, its panels two in a row."""
    drawings = chart.draw()
    columns = min(_SVG_COLUMNS, len(drawings))
    pitch = WIDTH + _SVG_GAP
    places, top = [], 0.0
    for start in range(0, len(drawings), columns):
        row = drawings[start : start + columns]
        places += [{"x": pitch * number, "y": top, "drawing": drawing} for number, drawing in enumerate(row)]
        top += max(drawing.height for drawing in row) + _SVG_GAP
    total = {"width": pitch * columns - _SVG_GAP, "height": round(top - _SVG_GAP, 2)}
    return _templates().get_template("chart.svg").render(places=places, total=total)


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nucseg_jax.reporting.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    filters = {
        "text": _text,
        "plain": plain,
        "shown": shown,
        "cell_class": _cell_class,
        "photograph": _photograph,
    }
    environment.filters.update(filters)
    environment.globals["width"] = WIDTH
    return environment


def _text(text: str) -> Markup:
    """Escapes a text and marks up the code in it."""
    parts = (
        Markup("<code>{}</code>").format(part) if is_code else escape(part) for is_code, part in spans(text)
    )
    return Markup("").join(parts)


def _cell_class(cell: Cell, is_number_column: bool) -> str | None:
    names = ["number"] if is_number_column else []
    if shown(cell) == UNDEFINED or (is_number_column and not is_number(cell)):
        names.append("absent")
    elif len(shown(cell)) > _LONG and not is_number(cell):
        names.append("long")
    return " ".join(names) or None


def _photograph(picture: Picture) -> dict[str, str | int]:
    """Encodes tissue as JPEG, a third of the size, in full colour resolution: outlines are one pixel wide."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(picture.png)) as opened:
        opened.convert("RGB").save(buffer, format="JPEG", quality=_PHOTOGRAPH_QUALITY, subsampling=0)
        width, height = opened.size
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"data": data, "width": width, "height": height}
