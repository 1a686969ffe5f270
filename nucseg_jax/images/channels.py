"""Channels by name: red, green and blue of a stained section, or something else."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError

_PRIMARIES = {(255, 0, 0): "r", (0, 255, 0): "g", (0, 0, 255): "b"}
_COLOUR_WORDS = {"red": "r", "r": "r", "green": "g", "g": "g", "blue": "b", "b": "b"}
# Names that programs give when they know none: 'Channel 0', 'C:1', 'Channel:0:2', '3'.
_NO_NAME = re.compile(r"(channel|chan|ch|c|band|sample|image)?[\s:_#.-]*\d*([\s:_.-]\d+)*", re.IGNORECASE)
_FLUORESCENCE = re.compile(
    r"dapi|hoechst|draq|sytox|fitc|tritc|cy ?\d|alexa|af ?\d{3}|texas|opal|fluo|[gryc]fp|cherry|tomato|atto|\bcd\d",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Channel:
    """A channel as described by a header.

    Attributes:
      name: as written; '' = none.
      colour: red, green, blue, 0..255, in which it is to be shown; None = not stated.
      is_fluorescent: the header states a dye, an emission or excitation wavelength, or fluorescence.
    """

    name: str = ""
    colour: tuple[int, int, int] | None = None
    is_fluorescent: bool = False


def colour_positions(count: int, channels: Sequence[Channel]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Decides which channels are red, green and blue, or that the one channel is grey.

    Args:
      count: of the channels that the pixels have.
      channels: their descriptions; empty = there are none.

    Returns:
      Positions of red, green and blue, or of grey; and what was assumed.

    Raises:
      UserError: fluorescence, or channels that are not known to be colours.

    >>> colour_positions(3, [Channel("B"), Channel("G"), Channel("R")])[0]
    (2, 1, 0)
    """
    names = ", ".join(channel.name for channel in channels if channel.name)
    described = counted(count, "channel") + (f" ({names[:200]})" if names else "")
    expected = "grey, or the three channels red, green and blue of a stained section"
    if channels and len(channels) != count:
        raise UserError(
            f"{counted(len(channels), 'channel')} described, the pixels have {count}", expected=expected
        )
    if count not in (1, 3):
        raise UserError(
            f"the image has {described}; none of them is known to be alpha",
            expected=expected,
            advice="save it as RGB",
        )
    if any(channel.is_fluorescent or _FLUORESCENCE.search(channel.name) for channel in channels):
        raise UserError(f"the image is one of fluorescence: {described}", expected=expected)
    if count == 1:
        return (0,), ()
    positions = _positions([_colour_word(channel.name) for channel in channels])
    if positions is not None:
        return positions, ()
    if any(not _NO_NAME.fullmatch(channel.name.strip()) for channel in channels):
        raise UserError(f"the channels are not named as colours: {names[:200]}", expected=expected)
    colours = [channel.colour for channel in channels if channel.colour is not None]
    positions = _positions([_PRIMARIES.get(colour) for colour in colours])
    if positions is not None:
        return positions, ()
    # White for every channel is what programs write when they know no colour.
    if len(set(colours)) > 1:
        raise UserError(
            f"the channels are shown in the colours {', '.join(map(str, colours))}", expected=expected
        )
    return (0, 1, 2), ("three channels without names are taken as red, green and blue",)


def _colour_word(name: str) -> str | None:
    words = {_COLOUR_WORDS[word] for word in re.findall("[a-z]+", name.lower()) if word in _COLOUR_WORDS}
    return words.pop() if len(words) == 1 else None


def _positions(letters: Sequence[str | None]) -> tuple[int, ...] | None:
    if sorted(letter or "" for letter in letters) != ["b", "g", "r"]:
        return None
    return tuple(letters.index(letter) for letter in "rgb")


def text_of(value: object) -> str:
    """A name from JSON or XML as text, '' for anything else."""
    return value if isinstance(value, str) else ""


def is_any(fields: Mapping[str, object], names: Sequence[str]) -> bool:
    """Returns True if one of the fields has a value."""
    return any(fields.get(name) not in (None, "") for name in names)
