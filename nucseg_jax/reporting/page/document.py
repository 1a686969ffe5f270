"""The content of a report page: sections of paragraphs, tables, figures, gaps and warnings, before any layout.

Texts are plain, but for `code` between backticks. They hold what runs state of themselves, which may be anything:
`spans` reads them so that no text can be more than text. Cells of tables hold numbers, not words: the page formats
them, and the table's CSV file holds them exactly.
"""

import csv
import dataclasses
import io
import math
import re
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from nucseg_jax.reporting.page.chart import Chart, Forest

Value = str | int | float | None


class Spread(NamedTuple):
    """A mean and the standard deviation beside it; shown as '0.8286 ± 0.0110'."""

    value: float | None
    deviation: float | None


class Interval(NamedTuple):
    """Limits of an interval; shown as '[0.8132, 0.8411]', of a difference with signs."""

    low: float
    high: float
    is_difference: bool = False


class Difference(NamedTuple):
    """A difference; shown with its sign."""

    value: float | None


class Measured(NamedTuple):
    """A number with other digits; shown as '37.42'."""

    value: float | None
    digits: int = 2


Cell = Value | Spread | Interval | Difference | Measured
UNDEFINED = "–"
# Fields of cells that are columns of CSV files.
_NUMBERS = ("value", "deviation", "low", "high")


def shown(cell: Cell) -> str:
    """Formats a cell: four decimals, '–' where there is no number.

    >>> [shown(cell) for cell in (0.82864, 1234, None, Spread(0.5, 0.01), Interval(-0.1, 0.2, True), Measured(37.421))]
    ['0.8286', '1,234', '–', '0.5000 ± 0.0100', '[-0.1000, +0.2000]', '37.42']
    """
    match cell:
        case str():
            return cell
        case Spread(value, None) | Spread(None as value, _):
            return _decimal(value)
        case Spread(value, deviation):
            return f"{_decimal(value)} ± {_decimal(deviation)}"
        case Interval(low, high, is_difference):
            sign = "+" if is_difference else ""
            is_defined = math.isfinite(low) and math.isfinite(high)
            return f"[{low:{sign}.4f}, {high:{sign}.4f}]" if is_defined else UNDEFINED
        case Difference(value):
            return _decimal(value, sign="+")
        case Measured(value, digits):
            return _decimal(value, digits)
        case int():
            return f"{cell:,}"
        case _:
            return _decimal(cell)


def _decimal(value: float | None, digits: int = 4, sign: str = "") -> str:
    return UNDEFINED if value is None or not math.isfinite(value) else f"{value:{sign},.{digits}f}"


def is_number(cell: Cell) -> bool:
    """Returns True for cells that stand to the right of their column."""
    return cell is not None and not isinstance(cell, str)


def _require_fit(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    wrong = [row for row in rows if len(row) != len(columns)]
    if wrong:
        raise ValueError(f"row {wrong[0]} does not fit the columns {columns}")


@dataclasses.dataclass(frozen=True)
class Csv:
    """A CSV file: names of columns, and rows as long; None and NaN are empty cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    def __post_init__(self) -> None:
        _require_fit(self.columns, self.rows)

    def text(self) -> str:
        """Returns the file's text; floats in the shortest form that reads back as the same float."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(
            ["" if value is None or value != value else value for value in row] for row in self.rows
        )
        return text.getvalue()


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """A paragraph; `is_answer` sets it larger."""

    kind: ClassVar[str] = "paragraph"
    text: str
    is_answer: bool = False


@dataclasses.dataclass(frozen=True)
class Warn:
    """A warning: what a reader must know before believing the numbers."""

    kind: ClassVar[str] = "warning"
    text: str


@dataclasses.dataclass(frozen=True)
class Gap:
    """A gap: what could stand here and does not, and the commands that would fill it."""

    kind: ClassVar[str] = "gap"
    missing: str
    commands: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      name: of its CSV file, without ending.
      caption: what it shows, and by which rule.
      headers, rows: its cells.
      csv: its CSV file, where that holds more than the cells.
      source: the file that holds its numbers, where that is another one, such as 'scores.csv'.
      references: positions of rows that stand out: the baseline's, the paper's.
    """

    kind: ClassVar[str] = "table"
    name: str
    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    csv: Csv | None = None
    source: str = ""
    references: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        _require_fit(self.headers, self.rows)

    @property
    def number_columns(self) -> list[bool]:
        """Returns, for each column, whether it holds a number anywhere."""
        columns: Sequence[Sequence[Cell]] = list(zip(*self.rows, strict=True)) or [()] * len(self.headers)
        return [any(map(is_number, column)) for column in columns]

    @property
    def file(self) -> Csv:
        """The CSV file: `csv`, or the cells with a column for each number of theirs."""
        if self.csv is not None:
            return self.csv
        columns: list[str] = []
        cells: list[list[Value]] = []
        for number, header in enumerate(self.headers):
            column = [row[number] for row in self.rows]
            tuples = [cell for cell in column if isinstance(cell, tuple)]
            fields = [name for name in _NUMBERS if any(name in cell._fields for cell in tuples)] or [""]
            for field in fields:
                name = re.sub(r"\W+", "_", f"{header} {field.removesuffix('value')}").strip("_").lower()
                columns.append(f"{name}_{number}" if name in columns else name)
                cells.append([getattr(cell, field, None) if tuples else cell for cell in column])  # type: ignore[misc]
        return Csv(tuple(columns), tuple(zip(*cells, strict=True)))


@dataclasses.dataclass(frozen=True)
class Figure:
    """A chart; `alt` is what a reader who does not see it should know."""

    kind: ClassVar[str] = "figure"
    name: str
    caption: str
    alt: str
    chart: Chart | Forest


@dataclasses.dataclass(frozen=True)
class Picture:
    """Tissue, as PNG."""

    kind: ClassVar[str] = "picture"
    name: str
    caption: str
    alt: str
    png: bytes


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading and what stands below it, sections included; the reader unfolds it if `is_folded`."""

    kind: ClassVar[str] = "section"
    title: str
    blocks: tuple["Block", ...]
    is_folded: bool = False


Block = Paragraph | Warn | Gap | Table | Figure | Picture | Section


@dataclasses.dataclass(frozen=True)
class Document:
    """A page.

    Attributes:
      title: its title.
      answer: what stands above the contents.
      blocks: what stands below them.
      scores: scores.csv, the scores of all runs.
    """

    title: str
    answer: tuple[Block, ...]
    blocks: tuple[Block, ...]
    scores: Csv

    def __post_init__(self) -> None:
        named = [block for block in self.all() if isinstance(block, Table | Figure | Picture)]
        files = [("tables" if isinstance(block, Table) else "figures", block.name) for block in named]
        if len(set(files)) < len(files):
            raise ValueError(f"names come twice in {sorted(files)}")

    def all(self) -> list[Block]:
        """Lists every block, sections before what they hold."""
        return _flat((*self.answer, *self.blocks))


def _flat(blocks: Sequence[Block]) -> list[Block]:
    found: list[Block] = []
    for block in blocks:
        found.append(block)
        if isinstance(block, Section):
            found += _flat(block.blocks)
    return found


def plain(text: str) -> str:
    """Replaces line breaks, control characters and marks that turn the direction of writing by spaces."""
    return _CONTROL.sub(" ", text).strip()


def spans(text: str) -> list[tuple[bool, str]]:
    """Splits a text into (is_code, text) in order.

    Code stands between two single backticks; any other backtick is one of the text's own.

    >>> spans("see `a|b`, not ``c")
    [(False, 'see '), (True, 'a|b'), (False, ', not ``c')]
    """
    parts = _CODE.split(plain(text))
    return [(index % 2 == 1, part) for index, part in enumerate(parts) if part]


_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
