"""Choice among the pictures of a file: the image, and smaller copies of it."""

from collections.abc import Sequence
from typing import NamedTuple

from nucseg_jax.images.source import RefusedImage

# Linear factor of the coarsest and the least reduction taken for a copy.
_LEAST_FACTOR = 1.2
# Rounding of a side that was halved several times.
_ROUNDING_PX = 2
# Pictures of less than this share of the image's area are labels and thumbnails, even where they are not marked.
_COMPANION_SHARE = 1 / 16


class Picture(NamedTuple):
    """A picture of a file, by its header.

    Attributes:
      height, width: px.
      is_reduced: marked as a reduced copy of another.
      is_companion: marked or named as a label, a macro image, a thumbnail or a mask.
      padding_px: by which sides of copies may exceed the exact size, where a format pads them.
      is_grey: one level per pixel, as in masks; None = not known.
    """

    height: int
    width: int
    is_reduced: bool = False
    is_companion: bool = False
    padding_px: int = 0
    is_grey: bool | None = None


class Choice(NamedTuple):
    """Positions in the list of pictures.

    Attributes:
      main: the image.
      copies: smaller copies of it, the largest first.
      others: pictures that are passed over.
    """

    main: int
    copies: tuple[int, ...]
    others: tuple[int, ...]


def main_picture(pictures: Sequence[Picture]) -> Choice:
    """Chooses the largest picture that is not marked as something else, whatever the order.

    Raises:
      RefusedImage: there is none, or another one that is no smaller copy and too large for a companion.

    >>> main_picture([Picture(100, 50, is_reduced=True), Picture(400, 200), Picture(20, 30)])
    Choice(main=1, copies=(0,), others=(2,))
    """
    usable = [index for index, picture in enumerate(pictures) if not picture.is_companion]
    full = [index for index in usable if not pictures[index].is_reduced] or usable
    if not full:
        raise RefusedImage("the file holds no image" + (", but labels or masks" if pictures else ""))
    main = max(full, key=lambda index: (_area(pictures[index]), -index))
    copies, others = [], []
    for index, picture in enumerate(pictures):
        if index == main:
            continue
        has_shape = not picture.is_companion and is_copy(picture, pictures[main])
        # A mask of the tissue lies beside a slide like one of its levels.
        has_colours = {picture.is_grey, pictures[main].is_grey} != {True, False}
        if has_shape and has_colours:
            copies.append(index)
        elif (
            picture.is_companion
            or (has_shape and picture.is_grey)
            or (picture.is_reduced and _area(picture) < _area(pictures[main]))
            or _area(picture) < _COMPANION_SHARE * _area(pictures[main])
        ):
            others.append(index)
        else:
            raise RefusedImage(
                f"the file is a stack, or holds pictures of equal standing:"
                f" {', '.join(f'{each.height:,} x {each.width:,} px' for each in (pictures[main], picture))}",
                expected="one picture, and smaller copies of it",
                advice="save the one you mean as a file",
            )
    copies.sort(key=lambda index: -_area(pictures[index]))
    return Choice(main, tuple(copies), tuple(others))


def is_copy(small: Picture, large: Picture) -> bool:
    """Returns True if one has the shape of the other and is clearly smaller."""
    if min(small.height, small.width, large.height, large.width) < 1:
        return False
    factors = {large.height / small.height, large.width / small.width}
    factors |= {float(round(factor)) for factor in factors}
    return any(
        factor >= _LEAST_FACTOR
        and all(
            -_ROUNDING_PX <= side - full / factor <= _ROUNDING_PX + small.padding_px
            for side, full in ((small.height, large.height), (small.width, large.width))
        )
        for factor in factors
    )


def _area(picture: Picture) -> int:
    return picture.height * picture.width
