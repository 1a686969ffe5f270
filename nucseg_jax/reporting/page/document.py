"""What a report page consists of, before anybody says how it looks.

Texts are plain, but for `code` between backticks. They hold what runs say of themselves, which may be anything:
`spans` reads them so that no text can be more than text. Every table and figure carries the numbers it was made from.
"""

import csv
import dataclasses
import io
import re
from collections.abc import Sequence

Value = str | int | float | None


@dataclasses.dataclass(frozen=True)
class Numbers:
    """A CSV file: names of columns, and rows as long.

    Attributes:
      columns: names.
      rows: values; None is an empty cell.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"row {wrong[0]} does not fit the columns {self.columns}")

    def csv(self) -> str:
        """The file's text; floats in the shortest form that reads back as the same float."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(["" if value is None else value for value in row] for row in self.rows)
        return text.getvalue()


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading; level 2 opens a part of the page, 3 a section of it."""

    text: str
    level: int = 2


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: str


@dataclasses.dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Warn:
    """What a reader must know before believing what follows."""

    text: str


@dataclasses.dataclass(frozen=True)
class Gap:
    """What could stand here and does not.

    Attributes:
      missing: what, and why.
      commands: that would fill it; none where no command can.
      repeats: what another gap of the page says too.
    """

    missing: str
    commands: tuple[str, ...] = ()
    repeats: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      name: of its CSV file, without ending.
      caption: what it shows and by which rule.
      headers, rows: as shown.
      numbers: what its CSV file holds, with run folder and file beside each number.
      references: numbers of the rows that are not ours, which stand out.
    """

    name: str
    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: Numbers
    references: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.headers)]
        if wrong:
            raise ValueError(f"row {wrong[0]} does not fit the headers {self.headers}")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
      name: of its PNG and CSV files, without ending.
      caption: what it shows and by which rule.
      alt: what a reader who does not see it should know.
      png: the file.
      numbers: what was drawn.
      is_photograph: tissue, which a page embeds in a lossy format at a third of the size.
    """

    name: str
    caption: str
    alt: str
    png: bytes
    numbers: Numbers
    is_photograph: bool = False


Block = Heading | Paragraph | Bullets | Warn | Gap | Table | Figure


@dataclasses.dataclass(frozen=True)
class Document:
    """A page: its title and what stands on it, in order."""

    title: str
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        for kind in (Table, Figure):
            names = [block.name for block in self.blocks if isinstance(block, kind)]
            repeated = {name for name in names if names.count(name) > 1}
            if repeated:
                raise ValueError(f"names come twice: {', '.join(sorted(repeated))}")


def spans(text: str) -> list[tuple[bool, str]]:
    """Splits a text into (is_code, text) in order; line breaks and other control characters become spaces.

    Code stands between two single backticks; any other backtick is one of the text's own.

    >>> spans("see `a|b`, not ``c")
    [(False, 'see '), (True, 'a|b'), (False, ', not ``c')]
    """
    parts = _CODE.split(_CONTROL.sub(" ", text).strip())
    return [(index % 2 == 1, part) for index, part in enumerate(parts) if part]


def anchors(document: Document) -> list[str]:
    """A fragment identifier for every heading, in order, each once.

    >>> anchors(Document("Report", (Heading("Table 1"), Heading("Table 1"))))
    ['table-1', 'table-1-2']
    """
    found: list[str] = []
    seen: dict[str, int] = {}
    for block in document.blocks:
        if isinstance(block, Heading):
            slug = re.sub(r"[^a-z0-9]+", "-", block.text.lower()).strip("-") or "section"
            seen[slug] = seen.get(slug, 0) + 1
            found.append(slug if seen[slug] == 1 else f"{slug}-{seen[slug]}")
    return found


def is_number(cell: str) -> bool:
    """Whether a cell holds numbers; such cells stand to the right.

    >>> [is_number(cell) for cell in ("0.8286 ± 0.0110", "[-0.1, +0.2]", "80.0 / 10.0", "719f9a91", "2 x cpu")]
    [True, True, True, False, False]
    """
    return re.fullmatch(rf"{_NUMBER}(( ± | / ){_NUMBER})?( s| %)?|\[{_NUMBER}, {_NUMBER}\]", cell) is not None


def number_columns(table: Table) -> list[bool]:
    """For every column whether it holds a number anywhere but no other words than those for absent values."""
    columns: Sequence[Sequence[str]] = list(zip(*table.rows, strict=True)) or [()] * len(table.headers)
    return [
        any(map(is_number, column)) and all(is_number(cell) or cell in ABSENT for cell in column)
        for column in columns
    ]


_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
# Line ends of any kind, and what turns the direction of writing around.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_NUMBER = r"[-+−]?\d[\d,]*(\.\d+)?"
UNDEFINED = "–"
NOT_IN_OUR_COPY = "not in our copy"
NOT_RUN = "not run"
NOT_MEASURED = "not measured"
ABSENT = ("", UNDEFINED, NOT_IN_OUR_COPY, NOT_RUN, NOT_MEASURED)
