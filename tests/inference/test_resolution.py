import pytest

from nucseg_jax.inference.resolution import model_size


@pytest.mark.parametrize(
    ("microns", "size"),
    [
        # Within 3 % of .25.
        (0.2426, (1000, 500)),
        (0.2574, (1000, 500)),
        (0.242, (968, 484)),
        (0.258, (1032, 516)),
        (0.27, (1080, 540)),
    ],
)
def test_an_image_within_three_percent_of_the_model_s_scale_is_taken_as_it_is(microns, size):
    assert model_size(1000, 500, microns) == size


def test_the_smallest_image_keeps_a_pixel():
    assert model_size(1, 1, 0.05) == (1, 1)
