"""Pictures laid out in a table with headings, captions and a legend, for TensorBoard and for files."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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
    legend: Sequence[tuple[str, tuple[int, int, int]]] = (),
) -> np.ndarray:
    """Lays pictures out in rows and columns.

    Args:
      rows: K >= 1 rows of uint8 pictures [H, W, 3], all of one size.
      headings: one above each column; long ones are broken into lines.
      captions: below each row, one text or one for each of its pictures; one too long for its picture, as a long file
        name makes it, is shortened in its middle.
      legend: words and their colours, below everything, at the right.

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
    size = (
        2 * _MARGIN_PX + len(headings) * (width + _GAP_PX) - _GAP_PX,
        top + len(rows) * pitch + (_CAPTION_PX + _GAP_PX if legend else 0) + _MARGIN_PX - _GAP_PX,
    )
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
    _draw_legend(draw, legend, caption_font, right=size[0] - _MARGIN_PX, top=top + len(rows) * pitch)
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


def _draw_legend(
    draw: ImageDraw.ImageDraw,
    legend: Sequence[tuple[str, tuple[int, int, int]]],
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
