import doctest

import numpy as np

from nucseg_jax.data.pannuke import repeats
from nucseg_jax.data.pannuke.repeats import Place, Repeats


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
