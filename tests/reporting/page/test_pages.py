import csv
import html.parser
import io
import re

import numpy as np
import pytest
from nucseg_jax.reporting.page.markdown_page import markdown_page
from PIL import Image

from nucseg_jax.core.errors import UserError
from nucseg_jax.reporting.page import write
from nucseg_jax.reporting.page.document import (
    Bullets,
    Document,
    Figure,
    Gap,
    Heading,
    Numbers,
    Paragraph,
    Table,
    Warn,
    anchors,
    number_columns,
)
from nucseg_jax.reporting.page.html_page import html_page
from nucseg_jax.reporting.page.write import write_report

TRICKY = 'a <b> & "c" | d_e *f* [g](h)'


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer, format="PNG")
    return buffer.getvalue()


def document(text: str = TRICKY) -> Document:
    numbers = Numbers(("name", "value"), ((text, 0.1), ("other", None)))
    return Document(
        text,
        (
            Heading(text),
            Heading(text, 3),
            Paragraph(f"{text} `code | here`"),
            Bullets((text, "two")),
            Warn(text),
            Gap(text, ("run --this='*' <now>",)),
            Table("table", text, ("name", "value"), ((text, "0.1000 ± 0.0200"), ("b", "–")), numbers),
            Figure("chart", text, text, png(), numbers),
            Figure("tissue", text, text, png(), numbers, is_photograph=True),
        ),
    )


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
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"url\(|@import|https?://", text)
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(names)) == len(names)
    assert [link["href"].removeprefix("#") for link in page.all("a")] == anchors(document())
    assert set(anchors(document())) <= set(names)
    assert all(picture["alt"] == TRICKY for picture in page.all("img"))
    kinds = [re.match(r"data:image/(\w+)", picture["src"])[1] for picture in page.all("img")]
    assert kinds == ["png", "jpeg"]
    assert "".join(page.text).count(TRICKY) >= 8
    assert "b" not in {tag for tag, _ in page.tags}


def test_markdown_tables_have_as_many_cells_as_headers_and_pictures_lie_beside():
    text = markdown_page(document())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    assert "](figures/chart.png)" in text
    assert "](tables/table.csv)" in text
    assert "<b>" not in re.sub(r"\\<", "", text).replace("<now>", "")


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
def test_what_a_run_is_called_stays_text_in_html_and_in_markdown(text):
    """A label, class, path or value of a config may be any string; read by parsers of HTML and of GitHub's Markdown."""
    commonmark = pytest.importorskip("markdown_it", reason="markdown-it-py is a dependency of a dependency")
    plain = document("plain")
    hostile = document(text)
    shown = re.sub(r"[\s\x00-\x1f\u202e]+", " ", text).strip()

    def tags(page):
        return [tag for tag, _ in Page(page).tags if tag != "code"]

    assert tags(html_page(hostile)) == tags(html_page(plain))
    parser = commonmark.MarkdownIt("gfm-like", {"html": True, "linkify": False})
    rendered = parser.render(markdown_page(hostile))
    assert tags(rendered) == tags(parser.render(markdown_page(plain)))
    for page in (html_page(hostile), rendered):
        read = re.sub(r"\s+", " ", "".join(Page(page).text))
        assert read.count(shown) + read.count(shown.replace("`", "")) >= 7


def test_columns_of_numbers_are_told_from_columns_of_words():
    rows = (("4 px", "0.5 ± 0.1", "–", "a"), ("719f9a91", "not run", "–", "–"))
    table = Table("t", "", ("a", "b", "c", "d"), rows, Numbers((), ()))
    assert number_columns(table) == [False, True, False, False]


def test_numbers_read_back_exactly_and_rows_must_fit():
    value = 0.1 + 0.2
    lines = list(csv.reader(io.StringIO(Numbers(("a", "b"), ((value, None), ("x, y", 3))).csv())))
    assert float(lines[1][0]) == value
    assert lines[1][1] == ""
    assert lines[2] == ["x, y", "3"]
    with pytest.raises(ValueError, match="does not fit"):
        Numbers(("a",), ((1, 2),))
    with pytest.raises(ValueError, match="twice"):
        Document("", (Figure("a", "", "", b"", Numbers((), ())),) * 2)


def test_a_report_folder_has_every_file_and_nothing_else(tmp_path):
    write_report(document(), tmp_path / "out")
    files = {
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    pictures = {f"figures/{name}.{kind}" for name in ("chart", "tissue") for kind in ("png", "csv")}
    assert files == {"report.md", "report.html", "tables/table.csv", *pictures}
    assert (tmp_path / "out" / "figures" / "chart.png").read_bytes() == png()
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_report_that_fails_leaves_the_old_one_whole(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_report(document("first"), out)
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
    assert "second" in (out / "report.md").read_text()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        write_report(document(), tmp_path)
    with pytest.raises(UserError, match="is a file"):
        write_report(document(), tmp_path / "thesis.tex")
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
