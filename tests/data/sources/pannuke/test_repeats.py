import doctest

import numpy as np

from nucseg_jax.data.sources.pannuke import repeats
from nucseg_jax.data.sources.pannuke.repeats import Place, Repeats, SharedNuclei


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(repeats) == (0, 2)


def test_the_first_place_of_an_image_is_named_and_one_grey_level_makes_another_image():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    other = image.copy()
    other[7, 7, 2] ^= 1
    seen = Repeats()
    assert seen.add(Place(1, 0), image) is None
    assert seen.add(Place(1, 1), other) is None
    assert seen.add(Place(1, 2), image.copy()) == (1, 0)
    assert seen.add(Place(3, 0), other) == (1, 1)
    assert seen.add(Place(3, 1), image) == (1, 0)


def test_images_of_one_colour_are_no_evidence():
    seen = Repeats()
    for fold in (1, 2):
        for colour in ((255, 255, 255), (0, 0, 0), (240, 230, 250)):
            assert seen.add(Place(fold, 0), np.broadcast_to(np.uint8(colour), (8, 8, 3)).copy()) is None


def test_an_image_of_one_colour_in_its_first_rows_alone_is_evidence():
    for place in ((7, 7), (1, 0), (0, 7)):
        image = np.full((8, 8, 3), 255, np.uint8)
        image[place] = 90
        seen = Repeats()
        assert seen.add(Place(1, 0), image) is None
        assert seen.add(Place(2, 0), image) == (1, 0)


def test_a_fold_has_the_masks_of_another_if_they_are_most_of_its_own():
    """However many the other fold has, and whatever it has beside them."""
    masks = np.zeros((40, 8, 8), np.uint8)
    masks[:, 0] = (np.arange(40)[:, None] >> np.arange(8)) & 1
    masks[:, 1] = 1

    def shared(of_first, of_second):
        nuclei = SharedNuclei()
        for fold, numbers in ((1, of_first), (2, of_second)):
            for row, number in enumerate(numbers):
                nuclei.add(Place(fold, row), masks[number], masks[number].astype(np.uint16))
        return nuclei.fold_with_the_same(2)

    assert shared(range(30), range(27, 32)) == 1  # 3 of 5
    assert shared(range(30), range(28, 33)) is None  # 2 of 5
    assert shared(range(3), range(40)) is None  # all of fold 1, few of fold 2
    assert shared(range(30), [0, 0, 0]) is None  # one mask, thrice
