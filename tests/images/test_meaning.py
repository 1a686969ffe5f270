"""What a header states decides what its samples mean, for all bits and kinds of alpha; anything open is refused."""

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.images.channels import Channel, colour_positions
from nucseg_jax.images.meaning import (
    GREY,
    GREY_INVERTED,
    PALETTE,
    PREMULTIPLIED,
    RGB,
    STRAIGHT,
    UNSPECIFIED,
    YCBCR,
    Header,
    meaning_of,
    meaning_of_array,
)
from nucseg_jax.images.pixels import RgbReader, as_rgb

U1, U2 = np.dtype(np.uint8), np.dtype(np.uint16)


@pytest.mark.parametrize(
    ("bits", "stated_by"),
    # The largest level of an 8-bit image is a statistic.
    [(bits, "bits") for bits in range(1, 17)] + [(bits, "highest") for bits in range(9, 17)],
)
def test_black_is_0_and_the_highest_level_of_any_bits_is_255(bits, stated_by):
    dtype, highest = U1 if bits <= 8 else U2, (1 << bits) - 1
    stated = {stated_by: bits if stated_by == "bits" else highest}
    levels = np.unique(np.linspace(0, highest, 300).astype(dtype))[None, :, None]
    expected = np.rint(levels[0, :, 0] * 255.0 / highest)
    for colours, values in ((GREY, expected), (GREY_INVERTED, 255 - expected)):
        meaning = meaning_of(Header(dtype, 1, colours, **stated))
        assert np.abs(as_rgb(levels, meaning)[0, :, 0] - values).max() <= (0 if colours == GREY else 1)
    if highest < np.iinfo(dtype).max:
        with pytest.raises(UserError, match="levels up to"):
            as_rgb(levels + 1, meaning)


@pytest.mark.parametrize("dtype", [U1, U2])
def test_both_kinds_of_alpha_give_the_same_over_white(dtype):
    generator = np.random.default_rng(0)
    full = np.iinfo(dtype).max
    alpha = generator.random((20, 30, 1))
    colour = generator.random((20, 30, 3))
    expected = 255 * (colour * alpha + 1 - alpha)
    straight = np.rint(np.dstack([colour, alpha]) * full).astype(dtype)
    premultiplied = np.rint(np.dstack([colour * alpha, alpha]) * full).astype(dtype)
    for pixels, kind in ((straight, STRAIGHT), (premultiplied, PREMULTIPLIED)):
        rgb = as_rgb(pixels, meaning_of(Header(dtype, 4, RGB, (kind,))))
        assert np.abs(rgb - expected).max() < 1.6
    # Rounded to more than their alpha, as tools do; brighter than white there is nothing.
    over = as_rgb(np.array([[[9, 9, 9, 0]]], np.uint8), meaning_of(Header(U1, 4, RGB, (PREMULTIPLIED,))))
    np.testing.assert_array_equal(over, [[[255, 255, 255]]])
    ignored = as_rgb(straight, meaning_of(Header(dtype, 4, RGB, (UNSPECIFIED,))))
    assert np.abs(ignored - 255 * colour).max() < 1


def test_alpha_is_the_sample_that_is_said_to_be_it():
    for extra, alpha in (((UNSPECIFIED, STRAIGHT), 4), ((PREMULTIPLIED, UNSPECIFIED), 3)):
        assert meaning_of(Header(U1, 5, RGB, extra)).alpha == alpha
    found = [meaning_of_array(U1, samples) for samples in (1, 2, 3, 4)]
    assert [each.colours for each in found] == [(0,), (0,), (0, 1, 2), (0, 1, 2)]
    assert [each.alpha for each in found] == [None, 1, None, 3]
    assert not any(each.is_premultiplied for each in found)


@pytest.mark.parametrize(
    "header",
    [
        Header(np.dtype(np.float32), 3, RGB),
        Header(np.dtype(np.int16), 1, GREY),
        Header(np.dtype(np.uint32), 3, RGB),
        Header(U1, 2, RGB),
        Header(U1, 4, RGB),
        Header(U1, 2, GREY, (UNSPECIFIED,)),
        Header(U1, 2, GREY_INVERTED, (PREMULTIPLIED,)),
        Header(U1, 5, RGB, (STRAIGHT, PREMULTIPLIED)),
        Header(U1, 1, PALETTE),
        Header(U1, 2, PALETTE, (STRAIGHT,), palette=np.zeros((256, 3), np.uint8)),
        Header(U2, 3, RGB, bits=17),
        Header(U2, 3, RGB, bits=0),
        Header(U2, 3, RGB, bits=12, highest=65535),
        Header(U2, 3, RGB, highest=100),
        Header(U2, 3, RGB, highest=3870),
        Header(U1, 3, RGB, highest=100),
        Header(U1, 3, RGB, highest=127),
        Header(U2, 3, RGB, highest=127),
    ],
    ids=str,
)
def test_what_is_open_or_contradicts_itself_is_refused(header):
    with pytest.raises(UserError):
        meaning_of(header)


@pytest.mark.parametrize(
    ("dtype", "highest", "white"), [(U1, 241, 255), (U2, 40_000, 65_535), (U2, 4095, 4095)]
)
def test_a_largest_level_that_needs_all_bits_is_a_statistic(dtype, highest, white):
    assert meaning_of(Header(dtype, 3, RGB, highest=highest)).highest == white


def test_ycbcr_and_palettes_become_rgb():
    grey = np.array([[[77, 128, 128]]], np.uint8)
    np.testing.assert_array_equal(as_rgb(grey, meaning_of(Header(U1, 3, YCBCR))), [[[77, 77, 77]]])
    table = np.arange(12, dtype=np.uint8).reshape(4, 3)
    meaning = meaning_of(Header(U1, 1, PALETTE, palette=table))
    np.testing.assert_array_equal(as_rgb(np.array([[[3], [0]]], np.uint8), meaning), [table[[3, 0]]])
    with pytest.raises(UserError):
        as_rgb(np.array([[[4]]], np.uint8), meaning)
    two = meaning_of(Header(np.dtype(bool), 1, PALETTE, palette=table[:2]))
    levels = np.array([[True, False, True], [False, False, True]])
    np.testing.assert_array_equal(as_rgb(levels[..., None], two), table[levels.astype(int)])


@pytest.mark.parametrize(
    "names", [("R", "G", "B"), ("red", "Green channel", "BLUE"), ("ch_r", "ch_g", "ch_b")]
)
def test_names_of_colours_give_their_positions(names):
    for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2)):
        positions, notes = colour_positions(3, [Channel(names[index]) for index in order])
        assert [order[position] for position in positions] == [0, 1, 2]
        assert not notes


@pytest.mark.parametrize("name", ["", "Channel 2", "C:1", "Channel:0:2", "3", "ch-1", "Band_2"])
def test_names_that_say_nothing_are_passed_over_with_a_word(name):
    positions, notes = colour_positions(3, [Channel(name)] * 3)
    assert positions == (0, 1, 2)
    assert notes


@pytest.mark.parametrize("bits", range(9, 17))
def test_white_of_fewer_bits_than_the_header_states_gets_a_word(bits):
    reader = RgbReader(meaning_of(Header(U2, 1, GREY)))
    reader(np.linspace(0, (1 << bits) - 1, 1000).astype(np.uint16)[None, :, None])
    assert any("levels lie within" in note for note in reader.notes()) == (bits < 16)


@pytest.mark.parametrize(
    ("low", "high", "is_told"),
    [(0, 4095, True), (30_000, 31_000, True), (0, 65_535, False), (64_000, 65_535, False)],
)
def test_levels_in_a_tiny_share_of_the_range_get_a_word(low, high, is_told):
    reader = RgbReader(meaning_of(Header(U2, 1, GREY)))
    assert reader.notes() == ()
    reader(np.linspace(low, high, 100).astype(np.uint16)[None, :, None])
    assert any("levels lie within" in note for note in reader.notes()) == is_told
