"""A document as one HTML file that needs nothing else: pictures inside, no script, no reference to anywhere."""

import base64
import html
import io

from PIL import Image

from nucseg_jax.reporting.page.document import (
    ABSENT,
    Block,
    Bullets,
    Document,
    Figure,
    Gap,
    Heading,
    Paragraph,
    Table,
    Warn,
    anchors,
    is_number,
    number_columns,
    spans,
)
from nucseg_jax.reporting.page.stylesheet import STYLESHEET

_PHOTOGRAPH_QUALITY = 90
_CHART_SCALE = 0.72
# Holds the page to its promise: a browser that reads this loads nothing from elsewhere.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def html_page(document: Document) -> str:
    """The whole file."""
    names = anchors(document)
    remaining = iter(names)
    body = "\n".join(
        _heading(block, next(remaining)) if isinstance(block, Heading) else _block(block)
        for block in document.blocks
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<link rel="icon" href="data:,">
<title>{html.escape(document.title)}</title>
<style>
{STYLESHEET}</style>
</head>
<body>
<main>
<h1>{html.escape(document.title)}</h1>
{_contents(document, names)}
{body}
</main>
</body>
</html>
"""


def _contents(document: Document, names: list[str]) -> str:
    headings = [block for block in document.blocks if isinstance(block, Heading)]
    items = "\n".join(
        f'<li class="level-{heading.level}"><a href="#{name}">{_text(heading.text)}</a></li>'
        for heading, name in zip(headings, names, strict=True)
    )
    return f'<nav aria-label="Contents">\n<ul>\n{items}\n</ul>\n</nav>'


def _heading(heading: Heading, name: str) -> str:
    return f'<h{heading.level} id="{name}">{_text(heading.text)}</h{heading.level}>'


def _block(block: Block) -> str:
    match block:
        case Heading():
            raise ValueError("a heading needs its anchor")
        case Paragraph(text):
            return f"<p>{_text(text)}</p>"
        case Bullets(items):
            return "<ul>\n" + "\n".join(f"<li>{_text(item)}</li>" for item in items) + "\n</ul>"
        case Warn(text):
            return f'<p class="warning"><strong>Warning.</strong> {_text(text)}</p>'
        case Gap(missing, commands):
            code = "".join(f"\n<pre><code>{_command(command)}</code></pre>" for command in commands)
            return f'<div class="gap"><p><strong>Missing.</strong> {_text(missing)}</p>{code}</div>'
        case Table():
            return _table(block)
        case Figure():
            return _figure(block)


def _command(command: str) -> str:
    """A command that is broken between words alone: a browser would break behind the dashes of a flag too."""
    return " ".join(f"<span>{html.escape(word)}</span>" for word in command.split(" "))


def _table(table: Table) -> str:
    classes = ["number" if numbers else "" for numbers in number_columns(table)]

    def cell(tag: str, text: str, column_class: str) -> str:
        names = [column_class] if column_class else []
        if tag == "td" and text in ABSENT:
            names.append("absent")
        elif tag == "td" and not is_number(text) and len(text) > 24:
            names.append("long")
        attribute = f' class="{" ".join(names)}"' if names else ""
        return f"<{tag}{attribute}>{_text(text)}</{tag}>"

    head = "".join(cell("th", text, name) for text, name in zip(table.headers, classes, strict=True))
    rows = "\n".join(
        ('<tr class="reference">' if number in table.references else "<tr>")
        + "".join(cell("td", text, name) for text, name in zip(row, classes, strict=True))
        + "</tr>"
        for number, row in enumerate(table.rows)
    )
    caption = f"{_text(table.caption)} <code>tables/{html.escape(table.name)}.csv</code>"
    # A box that scrolls must be reachable by keyboard, and say what it is.
    return (
        f'<figure class="table" id="table-{html.escape(table.name)}">\n<figcaption>{caption}</figcaption>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(table.name)}">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>\n</figure>"
    )


def _figure(figure: Figure) -> str:
    source = _data_uri(figure)
    with Image.open(io.BytesIO(figure.png)) as picture:
        # Charts are drawn finer than they are shown; a pixel of tissue is shown as one.
        scale = 1.0 if figure.is_photograph else _CHART_SCALE
        width, height = (round(scale * side) for side in picture.size)
    caption = f"{_text(figure.caption)} <code>figures/{html.escape(figure.name)}.csv</code>"
    return (
        f'<figure id="figure-{html.escape(figure.name)}">\n<img src="{source}" width="{width}" height="{height}"'
        f' alt="{html.escape(figure.alt)}">\n<figcaption>{caption}</figcaption>\n</figure>'
    )


def _data_uri(figure: Figure) -> str:
    data, kind = figure.png, "png"
    if figure.is_photograph:
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(figure.png)) as picture:
            # Full colour resolution: outlines are one pixel wide.
            picture.convert("RGB").save(buffer, format="JPEG", quality=_PHOTOGRAPH_QUALITY, subsampling=0)
        data, kind = buffer.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _text(text: str) -> str:
    escaped = ((is_code, html.escape(part, quote=False)) for is_code, part in spans(text))
    return "".join(f"<code>{part}</code>" if is_code else part for is_code, part in escaped)
