"""A report folder: report.html, scores.csv, figures/ and tables/, there whole or not at all."""

import pathlib

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import atomic_folder
from nucseg_jax.reporting.page.document import Csv, Document, Figure, Picture, Table
from nucseg_jax.reporting.page.html_page import html_page, svg_file

# report.md is of earlier versions.
ENTRIES = ("report.html", "report.md", "scores.csv", "figures", "tables")


def require_report_folder(out: pathlib.Path) -> None:
    """Raises UserError unless `out` is absent, empty, or holds a report and nothing else."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file", expected="a folder, or a path that does not exist yet")
    entries = out.iterdir() if out.exists() else ()
    others = sorted(entry.name for entry in entries if entry.name not in ENTRIES)
    if others:
        raise UserError(
            f"{out} holds other things than a report: {', '.join(others[:5])}",
            expected="an empty folder, an old report, or a path that does not exist yet",
            advice="choose another --out; a new report takes the place of the whole folder",
        )


def write_report(document: Document, out: pathlib.Path) -> None:
    """Writes all files of a document; an old report stays whole until the new one is.

    Raises:
      UserError: `out` holds something else, or cannot be written.
    """
    require_report_folder(out)
    try:
        with atomic_folder(out) as folder:
            figures, tables = folder / "figures", folder / "tables"
            figures.mkdir()
            tables.mkdir()
            for block in document.all():
                if isinstance(block, Figure):
                    _write(figures / f"{block.name}.svg", svg_file(block.chart))
                    _write(figures / f"{block.name}.csv", Csv(*block.chart.csv()).text())
                elif isinstance(block, Picture):
                    (figures / f"{block.name}.png").write_bytes(block.png)
                elif isinstance(block, Table) and not block.source:
                    _write(tables / f"{block.name}.csv", block.file.text())
            _write(folder / "scores.csv", document.scores.text())
            _write(folder / "report.html", html_page(document))
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}", advice="choose another --out") from None


def _write(path: pathlib.Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
