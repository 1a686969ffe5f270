import math

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.images.resolution import check_resolution, microns_of, model_size, plausible


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
    assert model_size(1000, 500, microns, model_microns_per_px=0.25) == size


def test_the_smallest_image_keeps_a_pixel():
    assert model_size(1, 1, 0.05, model_microns_per_px=0.25) == (1, 1)


def test_pixels_that_are_two_percent_off_square_have_no_scale():
    assert plausible(0.25, 0.2549, "tags").microns_per_px == pytest.approx(0.25245)
    assert plausible(0.25, 0.256, "tags") is None
    assert plausible(0.256, 0.25, "tags") is None


@pytest.mark.parametrize(
    ("unit", "microns"),
    [
        ("mm", 1e3),
        ("pm", 1e-6),
        (" um ", 1.0),
        ("Å", 1e-4),
        ("MILLIMETER", 1e3),
        ("Microns", 1.0),
        ("Mm", math.nan),
        ("Pm", math.nan),
        ("DM", math.nan),
        ("pixel", math.nan),
        (None, math.nan),
    ],
)
def test_capitals_are_other_units_in_symbols_and_the_same_in_names(unit, microns):
    assert microns_of(unit) == pytest.approx(microns, nan_ok=True)


def test_a_scale_at_which_a_nucleus_is_a_dot_is_refused():
    for microns in (0.05, 0.25, 1.0):
        check_resolution(microns, model_microns_per_px=0.25)
    for microns in (0.049, 1.01, 4.0, math.nan):
        with pytest.raises(UserError, match="a finer level"):
            check_resolution(microns, model_microns_per_px=0.25)


@pytest.mark.parametrize("model", [0.01, 0.25, 1.0, 4.0])
def test_an_image_at_the_model_s_own_scale_can_always_be_used(model):
    for factor in (0.975, 1.0, 1.025):
        check_resolution(factor * model, model_microns_per_px=model)
        assert model_size(1000, 500, factor * model, model_microns_per_px=model) == (1000, 500)
    with pytest.raises(UserError, match=f"trained at {model:g}"):
        check_resolution(1.1 * max(model, 1.0), model_microns_per_px=model)
