import csv
import html.parser
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.reporting.page import write
from nucseg_jax.reporting.page.chart import Chart, Forest, Panel, Row, Series
from nucseg_jax.reporting.page.document import (
    Csv,
    Difference,
    Document,
    Figure,
    Gap,
    Interval,
    Measured,
    Paragraph,
    Picture,
    Section,
    Spread,
    Table,
    Warn,
)
from nucseg_jax.reporting.page.html_page import html_page, svg_file
from nucseg_jax.reporting.page.write import write_report

TRICKY = 'a <b> & "c" | d_e *f* [g](h)'


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer, format="PNG")
    return buffer.getvalue()


def document(text: str = TRICKY) -> Document:
    series = (Series(text, ((1, 0.1), (2, None)), 0), Series("other", ((1, 0.3),), 1))
    forest = Forest(text, (Row(text, (0.5, 0.4, 0.6), (0.45, None)),), {text: 0.2})
    rows = ((text, Spread(0.1, 0.02)), ("b", None))
    blocks = (
        Paragraph(f"{text} `code | here`"),
        Warn(text),
        Gap(text, ("run --this='*' <now>", f"run {text}")),
        Table("table", text, ("name", text), rows),
        Section(text, (Figure("chart", text, text, Chart(text, "y", (Panel(text, series),))),)),
        Picture("tissue", text, text, png()),
    )
    answer = (Paragraph(text, is_answer=True), Figure("answer", text, text, forest))
    scores = Csv(("run", "value"), ((text, 0.1),))
    return Document(text, answer, (Section(text, blocks), Section("two", (Paragraph("p"),))), scores)


class Page(html.parser.HTMLParser):
    """What a page consists of; complains about tags that do not match."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.text, self._open = [], [], []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_html_is_whole_in_itself_and_escapes_what_it_shows():
    text = html_page(document())
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    for attributes in (attributes for _, attributes in page.tags):
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"url\(|@import|https?://", text)
    (policy,) = (meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(names)) == len(names)
    links = [link["href"].removeprefix("#") for link in page.all("a")]
    assert links == ["section-1", "section-1-5", "section-2"]
    assert set(links) <= set(names)
    (picture,) = page.all("img")
    assert picture["alt"] == TRICKY
    assert picture["src"].startswith("data:image/jpeg;base64,")
    charts = [attributes["aria-label"] for _, attributes in page.tags if attributes.get("role") == "img"]
    assert charts == [TRICKY, TRICKY]
    assert "".join(page.text).count(TRICKY) >= 15
    assert "b" not in {tag for tag, _ in page.tags}


HOSTILE = (
    *(
        "a | b",
        "`<img src=x onerror=alert(1)>",
        "``<script>``",
        "<b>`</b>",
        "a\n\n# heading",
        "a\r\n| x | y |",
    ),
    *("- item", "1. item", "> quote", "===", "[a](javascript:x)", "![a](b)", "&lt;b&gt;", "$x^2$", "~~a~~"),
    *("`a\\|b`", "a\\", "a\\`b`", "\u202egpj.exe", "*a* _b_", "\x00\x1b[31m", "`", "```\ncode", "a`b|c`d|e"),
)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_run_is_called_stays_text(text):
    """A label, class, path or value of a config may be any string."""
    shown = re.sub(r"[\s\x00-\x1f\u202e]+", " ", text).strip()

    def tags(page: Page) -> list[str]:
        # Charts break their words into lines of text.
        return [tag for tag, _ in page.tags if tag not in ("code", "span", "text")]

    page = Page(html_page(document(text)))
    assert tags(page) == tags(Page(html_page(document("plain"))))
    read = re.sub(r"\s+", " ", "".join(page.text))
    assert read.count(shown) + read.count(shown.replace("`", "")) >= 7
    for chart in (block.chart for block in document(text).all() if isinstance(block, Figure)):
        svg = ET.fromstring(svg_file(chart))
        assert {element.tag.rpartition("}")[2] for element in svg.iter()} == {
            "svg",
            "style",
            "g",
            "path",
            "text",
        }


def test_cells_that_are_numbers_stand_to_the_right_and_their_files_hold_them_exactly():
    third = 1 / 3
    rows = (
        (
            "x, y",
            4,
            third,
            Spread(third, 0.1),
            Interval(-third, 0.5, True),
            Difference(third),
            Measured(third),
        ),
        ("b", None, None, Spread(0.5, None), Interval(float("nan"), 1.0), "not run", Measured(None)),
    )
    table = Table("t", "", ("name", "count", "value", "mean", "interval", "change", "time"), rows)
    assert table.number_columns == [False, *[True] * 6]
    first, second = csv.DictReader(io.StringIO(table.file.text()))
    expected = {
        **{"name": "x, y", "count": "4", "value": third, "mean": third, "mean_deviation": 0.1},
        **{"interval_low": -third, "interval_high": 0.5, "change": third, "time": third},
    }
    assert first == {name: str(value) for name, value in expected.items()}
    assert second == dict.fromkeys(expected, "") | {"name": "b", "mean": "0.5", "interval_high": "1.0"}
    text = "".join(Page(html_page(Document("t", (table,), (), Csv((), ())))).text)
    for shown in ("0.3333 ± 0.1000", "[-0.3333, +0.5000]", "+0.3333", "0.33", "0.5000"):
        assert shown in text


def test_a_name_that_rows_share_is_shown_once_and_written_in_each():
    table = Table("t", "", ("configuration", "class"), (("unet", "a"), ("unet", "b"), ("fpn", "a")))
    text = "".join(Page(html_page(Document("", (table,), (), Csv((), ())))).text)
    assert text.count("unet") == text.count("fpn") == 1
    assert table.file.text().count("unet") == 2


def test_rows_must_fit_and_names_come_once():
    with pytest.raises(ValueError, match="does not fit"):
        Csv(("a",), ((1, 2),))
    with pytest.raises(ValueError, match="does not fit"):
        Table("t", "", ("a",), ((1, 2),))
    with pytest.raises(ValueError, match="twice"):
        Document("", (Table("t", "", (), ()),) * 2, (), Csv((), ()))


def test_a_report_folder_has_every_file_and_nothing_else(tmp_path):
    write_report(document(), tmp_path / "out")
    files = {
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    charts = {f"figures/{name}.{kind}" for name in ("chart", "answer") for kind in ("svg", "csv")}
    assert files == {"report.html", "scores.csv", "tables/table.csv", "figures/tissue.png", *charts}
    assert (tmp_path / "out" / "figures" / "tissue.png").read_bytes() == png()
    rows = list(csv.DictReader((tmp_path / "out" / "figures" / "chart.csv").open(encoding="utf-8")))
    assert [(row["panel"], row["series"], row["x"], row["value"]) for row in rows] == [
        (TRICKY, TRICKY, "1", "0.1"),
        (TRICKY, TRICKY, "2", ""),
        (TRICKY, "other", "1", "0.3"),
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_report_that_fails_leaves_the_old_one_whole(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_report(document("first"), out)
    (out / "report.md").touch()  # Of an earlier version.
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def fail(_):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(write, "html_page", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        write_report(document("second"), out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == [out]
    monkeypatch.undo()
    write_report(document("second"), out)
    assert "second" in (out / "report.html").read_text()
    assert not (out / "report.md").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        write_report(document(), tmp_path)
    with pytest.raises(UserError, match="is a file"):
        write_report(document(), tmp_path / "thesis.tex")
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
