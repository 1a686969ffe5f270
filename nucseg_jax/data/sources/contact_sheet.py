"""A picture of prepared patches with the outlines of their nuclei, on which a wrong label is seen before training.

A shifted label is off its nuclei, a transposed one nowhere near them, at a wrong scale they are too large for the bar
of 10 microns.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nucseg_jax.core.counted import counted
from nucseg_jax.data.dataset_info import VOID_LABEL, DatasetInfo
from nucseg_jax.data.sources.patch import Patch

Color = tuple[int, int, int]

_PAPER, _INK = (250, 250, 248), (34, 34, 40)
# Of nuclei without classes: tissue has no such colour.
_ANY_NUCLEUS: Color = (0, 255, 0)
_VOID, _VOID_OPACITY, _HATCH_PX = 128, 0.6, 12
_SMALLEST_SIDE_PX = 512
_MARGIN_PX, _GAP_PX, _TEXT_PX = 16, 12, 16
_LINE_PX = _TEXT_PX + 6
_BAR_MICRONS = 10.0


def contact_sheet(patches: Sequence[Patch], info: DatasetInfo) -> np.ndarray:
    """Draws patches in a grid, nuclei outlined in the colour of their class, void grey and hatched, with a legend.

    Args:
      patches: at least one.
      info: the data set that they are of.

    Returns:
      uint8 [H, W, 3]. Below each patch stand its image, its top and left px, and its group; patches under 512 px are
      magnified by a whole number.

    Raises:
      ValueError: there is no patch.
    """
    if not patches:
        raise ValueError("a contact sheet needs at least one patch")
    factor = max(1, math.ceil(_SMALLEST_SIDE_PX / info.patch_px))
    side = info.patch_px * factor
    columns = min(len(patches), math.ceil(math.sqrt(len(patches))))
    rows = -(-len(patches) // columns)
    width = 2 * _MARGIN_PX + columns * (side + _GAP_PX) - _GAP_PX
    font = ImageFont.load_default(_TEXT_PX)
    legend = _legend(info, factor)
    lines = _broken(legend, font, width - 2 * _MARGIN_PX)
    pitch = side + 2 * _LINE_PX + _GAP_PX
    height = 2 * _MARGIN_PX + len(lines) * _LINE_PX + _GAP_PX + rows * pitch
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        _draw_legend(draw, line, font, _MARGIN_PX + number * _LINE_PX)
    top = _MARGIN_PX + len(lines) * _LINE_PX + _GAP_PX
    for index, patch in enumerate(patches):
        x = _MARGIN_PX + index % columns * (side + _GAP_PX)
        y = top + index // columns * pitch
        sheet.paste(Image.fromarray(outlined(patch, info, factor)), (x, y))
        for number, text in enumerate(_captions(patch, info)):
            draw.text((x, y + side + 2 + number * _LINE_PX), _cut(text, font, side), fill=_INK, font=font)
    return np.asarray(sheet)


def outlined(patch: Patch, info: DatasetInfo, factor: int) -> np.ndarray:
    """Draws one patch: the outermost px of each nucleus in its class's colour.

    Returns:
      uint8 [P * factor, P * factor, 3].
    """
    image, label, line = (
        each.repeat(factor, axis=0).repeat(factor, axis=1)
        for each in (patch.image, patch.label, _edge(patch.instance))
    )
    void = label == VOID_LABEL
    rows, columns = np.indices(void.shape, sparse=True)
    grey = (1 - _VOID_OPACITY) * image + _VOID_OPACITY * _VOID
    image = np.where(void[..., None], grey, image).astype(np.uint8)
    image[void & ((rows + columns) % _HATCH_PX < max(1, factor))] = _VOID // 2
    colors: np.ndarray = np.zeros((VOID_LABEL + 1, 3), np.uint8)
    for number, color in enumerate(_colors(info), start=1):
        colors[number] = color
    image[line] = colors[label[line]]
    return image


def _edge(instance: np.ndarray) -> np.ndarray:
    """Pixels of a nucleus with one of another or of none beside them; not the patch's own edge."""
    padded = np.pad(instance, 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    edge: np.ndarray = (centre > 0) & np.any([each != centre for each in neighbours], axis=0)
    return edge


def _colors(info: DatasetInfo) -> tuple[Color, ...]:
    return tuple(each.color for each in info.classes) or (_ANY_NUCLEUS,)


# A word, and the length of its bar in px for a scale bar, or the colour of its swatch; None = hatched.
_Entry = tuple[str, Color | int | None]


def _legend(info: DatasetInfo, factor: int) -> list[_Entry]:
    names = [f"{number} {name}" for number, name in enumerate(info.class_names, start=1)] or ["nucleus"]
    entries: list[_Entry] = [(info.name, 0), *zip(names, _colors(info), strict=True)]
    if info.has_void:
        entries.append(("not annotated", None))
    bar_px = round(_BAR_MICRONS / info.microns_per_px * factor)
    return [*entries, (f"{_BAR_MICRONS:g} microns", bar_px)]


def _entry_px(entry: _Entry, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    word, mark = entry
    mark_px = mark if isinstance(mark, int) else _TEXT_PX
    return mark_px + (6 if mark_px else 0) + math.ceil(font.getlength(word)) + 2 * _GAP_PX


def _broken(
    entries: Sequence[_Entry], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[list[_Entry]]:
    """Breaks the legend into lines that fit a width, as far as its entries do."""
    lines: list[list[_Entry]] = [[]]
    used = 0
    for entry in entries:
        entry_px = _entry_px(entry, font)
        if lines[-1] and used + entry_px > width:
            lines.append([])
            used = 0
        lines[-1].append(entry)
        used += entry_px
    return lines


def _draw_legend(
    draw: ImageDraw.ImageDraw,
    entries: Sequence[_Entry],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    top: int,
) -> None:
    x = _MARGIN_PX
    for entry in entries:
        word, mark = entry
        end = x + _entry_px(entry, font)
        if isinstance(mark, int):
            if mark:
                draw.rectangle((x, top + _TEXT_PX // 2, x + mark - 1, top + _TEXT_PX // 2 + 3), fill=_INK)
                x += mark + 6
        else:
            box = (x, top + 3, x + _TEXT_PX - 3, top + _TEXT_PX)
            draw.rectangle(box, fill=(_VOID,) * 3 if mark is None else mark, outline=_INK)
            if mark is None:
                draw.line((box[0], box[3], box[2], box[1]), fill=_INK)
            x += _TEXT_PX + 6
        draw.text((x, top), word, fill=_INK, font=font)
        x = end


def _captions(patch: Patch, info: DatasetInfo) -> tuple[str, str]:
    nuclei = counted(int(patch.instance.max()), "nucleus")
    parts = [f"{info.group_noun} {info.groups[patch.group]}", patch.division]
    return f"{patch.image_name}  top {patch.top}, left {patch.left}", ", ".join(
        [nuclei, *filter(None, parts)]
    )


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Takes out the middle of a text that is too wide."""
    kept = len(text)
    shown = text
    while font.getlength(shown) > width and kept > 4:
        kept -= 2
        shown = f"{text[: kept - kept // 2]}...{text[len(text) - kept // 2 :]}"
    return shown
