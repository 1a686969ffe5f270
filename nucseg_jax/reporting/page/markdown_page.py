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
    spans,
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
            # A name with a line break in it must not end the quote.
            listing = "".join("\n>\n>     " + command.replace("\n", "\n>     ") for command in commands)
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
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in (table.headers, *table.rows)]
    lines.insert(1, "|" + "|".join(rules) + "|")
    body = "\n".join(lines)
    return f"*{_text(table.caption)}* ([numbers](tables/{table.name}.csv))\n\n{body}"


def _text(text: str) -> str:
    """Plain text with what Markdown would read as markup escaped; code between backticks stays as it is."""
    escaped = "".join(f"`{part}`" if is_code else _MARKUP.sub(r"\\\1", part) for is_code, part in spans(text))
    return _BLOCK_MARKER.sub(r"\1\\\2", escaped)


def _cell(text: str) -> str:
    """The same inside a table, where a bar ends the cell in code too."""
    return "".join(
        "`" + part.replace("|", r"\|") + "`" if is_code and r"\|" not in part else _MARKUP.sub(r"\\\1", part)
        for is_code, part in spans(text)
    )


# Emphasis, code, tables, links, HTML, quotes, entities, strikethrough and formulas, headings.
_MARKUP = re.compile(r"([\\`*_|<>\[\]&~$#])")
# A list begins with '-', '+', '1.' or '1)'; '=' and '-' underline a heading.
_BLOCK_MARKER = re.compile(r"^(\d*)([-+=.)])(?=\s|[-=]*$)")
