"""Reads columns of the CSV tables that people and their spreadsheets write."""

import csv
import io
import pathlib
from collections.abc import Sequence

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import read_file

# Spreadsheets of half of Europe separate by ';'.
_DELIMITERS = (",", ";", "\t")


def read_columns(
    path: pathlib.Path, required: Sequence[str], optional: Sequence[str] = (), *, advice: str = ""
) -> list[tuple[int, dict[str, str]]]:
    """Reads columns by name, and passes over all others.

    Args:
      path: UTF-8, separated by commas, semicolons or tabs; the first line names the columns, in any case.
      required: names of columns that must be there, once.
      optional: names of columns that may be there, once.
      advice: what to do about a table that cannot be used.

    Returns:
      Line and {name: text without spaces around it} of each row that is not empty.

    Raises:
      UserError: the file cannot be read, a column is missing or there twice, or a row has more or fewer cells than the
        first line.
    """
    expected = f"a table, CSV in UTF-8, with the columns {' and '.join(required)}"
    try:
        text = read_file(path).decode("utf-8-sig").lstrip("\r\n")
        delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, ValueError, csv.Error) as error:
        reason = f"{path} cannot be read: {reason_of(error)}"
        raise UserError(reason, expected=expected, advice=advice) from error
    header = [name.strip().lower() for name in lines[0][1]] if lines else []
    at = {name: header.index(name.lower()) for name in (*required, *optional) if name.lower() in header}
    for name in (*required, *optional):
        count = header.count(name.lower())
        if count > 1 or (not count and name in required):
            columns = f"its columns are {', '.join(header)}"[:200] if header else "it is empty"
            raise UserError(
                f"{path} has {'more than one' if count else 'no'} column {name}: {columns}",
                expected=expected,
                advice=advice,
            )
    for line, row in lines[1:]:
        if len(row) != len(header):
            raise UserError(
                f"{path}, line {line} has {counted(len(row), 'cell')}",
                expected=f"{len(header)}, as the first line",
                advice=advice,
            )
    return [(line, {name: row[column].strip() for name, column in at.items()}) for line, row in lines[1:]]
