"""Moves of pixels: the eight symmetries of the square, their inverses, and images that are no squares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.ops.symmetries import SYMMETRIES, Symmetry, check_views, move


def pixels(height=5, width=5, channels=2):
    return np.random.default_rng(0).normal(size=(3, height, width, channels)).astype(np.float32)


def test_all_eight_are_the_quarter_turns_of_an_image_and_of_its_mirror_image():
    image = pixels()
    expected = [
        np.rot90(each, turns, axes=(1, 2)).tobytes()
        for each in (image, image[:, :, ::-1])
        for turns in range(4)
    ]
    found = [np.asarray(move(jnp.asarray(image), symmetry)).tobytes() for symmetry in SYMMETRIES]
    assert len(set(found)) == 8
    assert set(found) == set(expected)
    assert found[0] == image.tobytes()


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("shape", [(5, 5), (4, 7)])
def test_the_inverse_brings_back(symmetry, shape):
    image = pixels(*shape)
    moved = move(jnp.asarray(image), symmetry)
    assert moved.shape[1:3] == (shape[::-1] if symmetry.transposed else shape)
    np.testing.assert_array_equal(move(moved, symmetry.inverse()), image)
    np.testing.assert_array_equal(move(move(jnp.asarray(image), symmetry.inverse()), symmetry), image)


def test_each_example_may_have_a_symmetry_of_its_own():
    image = pixels()
    chosen = [SYMMETRIES[number] for number in (6, 1, 3)]
    together = jax.jit(move)(image, Symmetry(*(jnp.array(each) for each in zip(*chosen, strict=True))))
    for one, symmetry, moved in zip(image, chosen, together, strict=True):
        np.testing.assert_array_equal(move(jnp.asarray(one[None]), symmetry)[0], moved)


@pytest.mark.parametrize("views", [0, 2, 4, -1, 16])
def test_other_numbers_of_views_are_refused(views):
    check_views(1)
    check_views(8)
    with pytest.raises(UserError, match=rf"the number of views is {views}"):
        check_views(views)
