"""A document as Markdown; pictures and numbers lie beside it, in figures/ and tables/."""

import re

from nucseg_jax.reporting.page.document import (
    Block,
    Bullets,
    Document,
    Figure,
    Gap,
    Heading,
    Paragraph,
    Table,
    Warn,
    number_columns,
)


def markdown_page(document: Document) -> str:
    """The whole file."""
    return "\n\n".join([f"# {_text(document.title)}", *map(_block, document.blocks)]) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_text(text)}"
        case Paragraph(text):
            return _text(text)
        case Bullets(items):
            return "\n".join(f"- {_text(item)}" for item in items)
        case Warn(text):
            return f"> **Warning.** {_text(text)}"
        case Gap(missing, commands):
            listing = "".join(f"\n>\n>     {command}" for command in commands)
            return f"> **Missing.** {_text(missing)}{listing}"
        case Table():
            return _table(block)
        case Figure():
            return (
                f"![{_text(block.alt)}](figures/{block.name}.png)\n\n"
                f"*{_text(block.caption)}* ([numbers](figures/{block.name}.csv))"
            )


def _table(table: Table) -> str:
    rules = ["---:" if is_number else "---" for is_number in number_columns(table)]
    lines = ["| " + " | ".join(map(_text, row)) + " |" for row in (table.headers, *table.rows)]
    lines.insert(1, "|" + "|".join(rules) + "|")
    body = "\n".join(lines)
    return f"*{_text(table.caption)}* ([numbers](tables/{table.name}.csv))\n\n{body}"


def _text(text: str) -> str:
    """Plain text with what Markdown would read as markup escaped; code between backticks stays as it is."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*_|<\[\]])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [part.replace("|", r"\|") for part in parts[1::2]]
    return "`".join(parts)
