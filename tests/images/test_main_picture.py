"""The main picture of a file is the largest unmarked one, in any order; equals are refused."""

import itertools

import pytest

from nucseg_jax.images.main_picture import Picture, is_copy, main_picture
from nucseg_jax.images.source import RefusedImage

FULL = Picture(4001, 6003)
HALF, QUARTER = Picture(2000, 3001), Picture(1001, 1501, is_reduced=True)
LABEL = Picture(300, 700)
MACRO = Picture(3000, 5000, is_companion=True)


def test_the_order_does_not_matter():
    for pictures in itertools.permutations((FULL, HALF, QUARTER, LABEL, MACRO)):
        choice = main_picture(pictures)
        assert pictures[choice.main] is FULL
        assert [pictures[index] for index in choice.copies] == [HALF, QUARTER]
        assert {pictures[index] for index in choice.others} == {LABEL, MACRO}


@pytest.mark.parametrize(
    "others",
    [
        [FULL],
        [Picture(3000, 6003)],
        [Picture(4001, 5900)],
        # Marked as a copy, and larger than what is not.
        [Picture(5000, 9000, is_reduced=True)],
        [Picture(40_010, 60_030, is_reduced=True)],
        [Picture(1500, 1500)],
    ],
    ids=str,
)
def test_pictures_of_equal_standing_are_refused(others):
    for pictures in ([FULL, *others], [*others, FULL]):
        with pytest.raises(RefusedImage, match="equal standing"):
            main_picture(pictures)


def test_a_label_is_no_image_because_the_copy_beside_it_is_marked():
    with pytest.raises(RefusedImage):
        main_picture([QUARTER, LABEL])


def test_a_copy_alone_is_the_image_and_companions_alone_are_none():
    assert main_picture([QUARTER, QUARTER._replace(height=100, width=150)]).main == 0
    for pictures in ([], [MACRO]):
        with pytest.raises(RefusedImage, match="no image"):
            main_picture(pictures)


def test_a_grey_picture_is_no_copy_of_one_in_colours():
    colours, grey = HALF._replace(is_grey=False), QUARTER._replace(is_grey=True, is_reduced=False)
    assert main_picture([grey, colours]) == (1, (), (0,))
    assert main_picture([grey, colours._replace(is_grey=None)]) == (1, (0,), ())
    assert main_picture([grey, HALF._replace(is_grey=True)]) == (1, (0,), ())
    with pytest.raises(RefusedImage, match="equal standing"):
        main_picture([QUARTER._replace(is_grey=False, is_reduced=False), HALF._replace(is_grey=True)])


@pytest.mark.parametrize("factor", [2, 3, 4, 8, 1.5, 32])
def test_rounding_and_padding_make_no_other_picture(factor):
    exact = 4001 / factor, 6003 / factor
    for offset in (-1, 0, 1):
        assert is_copy(Picture(int(exact[0]) + offset, int(exact[1])), FULL)
    padded = Picture(-(-int(exact[0]) // 512) * 512, -(-int(exact[1]) // 512) * 512, padding_px=512)
    assert is_copy(padded, FULL)
    assert not is_copy(Picture(int(exact[0] * 0.9), int(exact[1])), FULL)
