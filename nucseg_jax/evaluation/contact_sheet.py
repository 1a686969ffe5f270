"""Pictures laid out in a table with headings, captions and a legend, for TensorBoard and for files."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Words and their colour.
LegendEntry: TypeAlias = tuple[str, tuple[int, int, int]]

_PAPER = (250, 250, 248)
_INK = (34, 34, 40)
_FAINT = (110, 110, 120)
_MARGIN_PX = 20
_GAP_PX = 8
_HEADING_PX = 17
_HEADING_PITCH_PX = 20
_CAPTION_PX = 15
# Smaller pictures are magnified by a whole number, so that a heading fits above them.
_SMALLEST_PICTURE_PX = 176


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    headings: Sequence[str],
    captions: Sequence[str | Sequence[str]],
    legend: Sequence[LegendEntry] = (),
) -> np.ndarray:
    """Lays pictures out in rows and columns.

    Args:
      rows: K >= 1 rows of uint8 pictures [H, W, 3], all of one size.
      headings: one above each column; long ones are broken into lines.
      captions: below each row, one text or one for each of its pictures; one too long for its picture, as a long file
        name makes it, is shortened in its middle.
      legend: words and their colours, below everything, at the right; in several lines if it is wide.

    Returns:
      uint8 [height, width, 3], RGB on light paper.

    Raises:
      ValueError: no row, rows or captions of different lengths, or pictures of different shapes.
    """
    if not rows:
        raise ValueError("a contact sheet needs at least one row")
    if len(captions) != len(rows):
        raise ValueError(f"{len(rows)} rows but {len(captions)} captions")
    shapes = {picture.shape for row in rows for picture in row}
    if len(shapes) != 1 or {len(row) for row in rows} != {len(headings)}:
        raise ValueError(
            f"{len(headings)} headings for rows of {[len(row) for row in rows]}, shapes {shapes}"
        )
    height, width = shapes.pop()[:2]
    factor = max(1, -(-_SMALLEST_PICTURE_PX // width))
    height, width = height * factor, width * factor

    heading_font = ImageFont.load_default(_HEADING_PX)
    caption_font = ImageFont.load_default(_CAPTION_PX)
    all_lines = [broken(heading, heading_font, width) for heading in headings]
    heading_px = _HEADING_PX + _HEADING_PITCH_PX * (max(map(len, all_lines)) - 1)
    top = _MARGIN_PX + heading_px + _GAP_PX
    pitch = height + _CAPTION_PX + 3 * _GAP_PX
    sheet_width = 2 * _MARGIN_PX + len(headings) * (width + _GAP_PX) - _GAP_PX
    legend_lines = _legend_lines(legend, caption_font, sheet_width - 2 * _MARGIN_PX)
    legend_px = len(legend_lines) * (_CAPTION_PX + _GAP_PX)
    size = (sheet_width, top + len(rows) * pitch + legend_px + _MARGIN_PX - _GAP_PX)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, lines in enumerate(all_lines):
        x = _MARGIN_PX + column * (width + _GAP_PX)
        for number, line in enumerate(reversed(lines)):
            y = top - _GAP_PX - _HEADING_PX - 2 - number * _HEADING_PITCH_PX
            draw.text((x, y), line, fill=_INK, font=heading_font)
        for row, pictures in enumerate(rows):
            picture = np.kron(pictures[column], np.ones((factor, factor, 1), np.uint8))
            sheet.paste(Image.fromarray(picture), (x, top + row * pitch))
    for row, caption in enumerate(captions):
        for column, text in enumerate((caption,) if isinstance(caption, str) else caption):
            at = (_MARGIN_PX + column * (width + _GAP_PX), top + row * pitch + height + _GAP_PX // 2)
            room = size[0] - at[0] - _MARGIN_PX if isinstance(caption, str) else width
            draw.text(at, shortened(text, caption_font, room), fill=_FAINT, font=caption_font)
    for number, entries in enumerate(legend_lines):
        line_top = top + len(rows) * pitch + number * (_CAPTION_PX + _GAP_PX)
        _draw_legend(draw, entries, caption_font, right=size[0] - _MARGIN_PX, top=line_top)
    return np.asarray(sheet)


def broken(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Breaks a text into lines that fit a width, as far as its words do."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Returns the text, or its beginning and its longer end with dots between, so that it fits a width."""
    kept = len(text)
    short = text
    while kept > 4 and font.getlength(short) > width:
        kept -= 1
        end = kept - kept // 3
        short = f"{text[: kept // 3]}...{text[-end:]}"
    return short


def _legend_lines(
    legend: Sequence[LegendEntry], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[list[LegendEntry]]:
    """Divides a legend into lines that fit a width, in order; an entry that is wider has a line by itself."""
    lines: list[list[LegendEntry]] = []
    left = 0
    for entry in legend:
        entry_px = int(font.getlength(entry[0])) + _CAPTION_PX + 5 + 2 * _GAP_PX
        if not lines or entry_px > left:
            lines.append([])
            # The last entry of a line has no gap after it.
            left = width + 2 * _GAP_PX
        lines[-1].append(entry)
        left -= entry_px
    return lines


def _draw_legend(
    draw: ImageDraw.ImageDraw,
    legend: Sequence[LegendEntry],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    *,
    right: int,
    top: int,
) -> None:
    """Swatches and words, the last one ending at `right`."""
    for word, color in reversed(legend):
        right -= int(draw.textlength(word, font=font))
        draw.text((right, top), word, fill=_INK, font=font)
        right -= _CAPTION_PX + 5
        # Outlined: one of the colours is white.
        box = (right, top + 3, right + _CAPTION_PX - 3, top + _CAPTION_PX)
        draw.rectangle(box, fill=color, outline=_FAINT)
        right -= 2 * _GAP_PX
