"""The record as a page in Markdown; from any JSON, whatever of it is missing."""

import functools
import importlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.accelerator.steps import Step

NOT_MEASURED = "not measured"


def page(record: Mapping[str, Any], steps: Sequence[Step]) -> str:
    """Returns the page.

    Args:
      record: as in the file; anything else shows as not measured.
      steps: in order; each gets a line of the first table, and its own part once it has rows.
    """
    record = record if isinstance(record, Mapping) else {}
    options = _mapping(record, "options")
    size = ", in small" if options.get("small") else ""
    lines = [
        f"# {options.get('device', 'Device unknown')}{size}: what works, how fast, and with which lowerings",
        "",
        f"Measured {_text(record.get('date', 'at an unknown date'))} by `python -m benchmarks.accelerator`. The same"
        " command again measures what is missing.",
        "",
        *_answers(record),
        "",
        *table(
            ("step", "outcome", "s", "bound, s", "reason"),
            [
                (
                    step.name,
                    entry.get("outcome", "not started"),
                    number(entry.get("seconds"), ".0f"),
                    number(entry.get("bound_s"), ".0f"),
                    entry.get("failed"),
                )
                for step in steps
                for entry in [_mapping(_mapping(record, "steps"), step.name)]
            ],
        ),
    ]
    for step in steps:
        result = _mapping(_mapping(_mapping(record, "steps"), step.name), "result")
        if any(name not in ("rows", "complete") for name in result) or _mapping(result, "rows"):
            lines += ["", f"## {step.title}", "", *_part(step, result)]
    if removed := record.get("removed"):
        lines += ["", f"Removed, since the folder may hold 8 MB: {_text(removed)}."]
    return "\n".join(lines) + "\n"


def _answers(record: Mapping[str, Any]) -> list[str]:
    """Returns the three answers that the page is for, one line each."""
    from benchmarks.accelerator import measure_lowerings, measure_tests, measure_torch

    steps = _mapping(record, "steps")
    repeats = _mapping(_mapping(steps, "repeat"), "result")
    asked: tuple[tuple[str, str, Callable[[Mapping[str, Any]], str]], ...] = (
        ("Does everything work?", "tests", functools.partial(measure_tests.answer, repeats=repeats)),
        ("How fast beside PyTorch?", "torch", measure_torch.answer),
        ("Which lowerings?", "lowerings", measure_lowerings.answer),
    )
    lines = []
    for question, name, answer in asked:
        result = _mapping(_mapping(steps, name), "result")
        try:
            said = answer(result)
        except Exception as error:
            said = f"cannot be read from the record: {type(error).__name__}"
        lines.append(f"- **{question}** {said}")
    return lines


def _part(step: Step, result: Mapping[str, Any]) -> list[str]:
    """Returns the lines of a step; a fault of them is shown in their place, and the others are not lost."""
    try:
        lines: list[str] = list(importlib.import_module(step.module).lines(result))
    except Exception:
        lines = ["The rows cannot be shown; they are in the JSON file.", "", "```"]
        lines += [*traceback.format_exc(limit=-1).splitlines(), "```"]
    return lines


def rows_of(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Returns the rows of a step's result by name, as far as they are rows."""
    return {name: row for name, row in _mapping(result, "rows").items() if isinstance(row, Mapping)}


def done_rows(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Returns the rows that were measured."""
    return {name: row for name, row in rows_of(result).items() if row.get("outcome") == "done"}


def row_table(
    result: Mapping[str, Any], first: str, columns: Sequence[tuple[str, str, str]], *, prefix: str = ""
) -> list[str]:
    """Returns a table of the rows whose names begin with `prefix`.

    Args:
      result: of a step.
      first: title of the column of their names.
      columns: title, key and format of each; a row without the key has '-', and one that failed its reason.
      prefix: cut from the names.
    """
    cells = []
    for name, row in rows_of(result).items():
        if name.startswith(prefix):
            values: list[Any] = [number(row.get(key), form) for _, key, form in columns]
            if row.get("outcome") != "done":
                values[0] = f"{row.get('outcome')}: {row.get('failed') or 'to be measured again'}"
            cells.append((name.removeprefix(prefix), *values))
    return table((first, *(title for title, _, _ in columns)), cells)


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Returns the lines of a table; None is '-', and no cell ends its row."""
    return [
        f"| {' | '.join(headers)} |",
        f"{'|---' * len(headers)}|",
        *(f"| {' | '.join('-' if cell is None else _text(cell) for cell in row)} |" for row in rows),
    ]


def number(value: Any, form: str) -> str | None:
    """Formats a number; text stays, and anything else is None."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return format(value, form) if form else str(value)


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _text(value: Any) -> str:
    """Returns a value in one line of a table."""
    return " ".join(str(value).replace("|", "/").split())[:500]
