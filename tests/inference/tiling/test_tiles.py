import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucseg_jax.core.errors import UserError
from nucseg_jax.inference.tiling.blending import Blender, ramp
from nucseg_jax.inference.tiling.tiles import TilePlan, check_tiles, reflected

plans = st.builds(
    lambda height, width, tile, overlap: TilePlan(
        height, width, 16 * tile, min(16 * overlap, 8 * tile // 16 * 16)
    ),
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    tile=st.integers(1, 6),
    overlap=st.integers(0, 3),
)


@given(plans)
def test_tiles_cover_the_image_and_none_is_superfluous(plan):
    for number, length in ((plan.rows, plan.height), (plan.columns, plan.width)):
        ends = np.arange(number) * plan.stride_px + plan.tile_px
        assert ends[-1] >= length
        assert number == 1 or ends[-2] < length


@given(plans)
def test_finished_rows_follow_each_other_and_end_with_the_image(plan):
    spans = [plan.finished(row) for row in range(plan.rows)]
    assert spans[0][0] == 0
    assert spans[-1][1] == plan.height
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))


@given(start=st.integers(0, 50), count=st.integers(1, 60), length=st.integers(1, 40))
def test_reflection_is_that_of_numpy(start, count, length):
    padded = np.pad(np.arange(length), (0, start + count), mode="reflect")
    np.testing.assert_array_equal(reflected(start, count, length), padded[start : start + count])


@pytest.mark.parametrize("overlap", [4, 16, 64, 128])
def test_weights_of_an_overlap_sum_to_exactly_one_and_forget_the_outer_quarters(overlap):
    rise = ramp(overlap)
    assert rise.dtype == np.float32
    assert np.all(rise + rise[::-1] == np.float32(1.0))
    assert np.all(rise[: overlap // 4] == 0.0)
    assert np.all(np.diff(rise) >= 0)


@given(plans, st.randoms(use_true_random=False))
def test_blending_gives_back_an_image_whatever_the_order_of_tiles(plan, random):
    size = plan.rows * plan.stride_px + plan.overlap_px, plan.columns * plan.stride_px + plan.overlap_px
    image = np.random.default_rng(0).random((*size, 2), np.float32)
    results = []
    for shuffled in (False, True):
        blender, bands = Blender(plan, 2), []
        for row in range(plan.rows):
            columns = list(range(plan.columns))
            if shuffled:
                random.shuffle(columns)
            for column in columns:
                top, left = row * plan.stride_px, column * plan.stride_px
                # What a tile says about its outer quarter of an overlap must not count.
                tile = image[top : top + plan.tile_px, left : left + plan.tile_px].copy()
                quarter = plan.overlap_px // 4
                tile[: quarter * (row > 0)] = tile[:, : quarter * (column > 0)] = 1e6
                blender.add(column, tile)
            top, band = blender.finish_row(row)
            assert top == sum(map(len, bands))
            bands.append(band)
        results.append(np.concatenate(bands))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_allclose(results[0], image[: plan.height, : plan.width], rtol=3e-7, atol=1e-7)


@given(plans, st.data())
def test_rows_that_are_wanted_come_out_whole_from_the_row_of_tiles_to_begin_with(plan, data):
    top = data.draw(st.integers(0, plan.height - 1))
    first = plan.first_row_for(top)
    ones = np.ones((plan.tile_px, plan.tile_px, 1), np.float32)
    blender, bands = Blender(plan, 1, first_row=first), {}
    for row in range(first, plan.rows):
        for column in range(plan.columns):
            blender.add(column, ones)
        begin, band = blender.finish_row(row)
        bands[begin] = band
    whole = np.concatenate(list(bands.values()))
    assert np.all(whole[top - min(bands) :] == 1.0)


def test_tiles_that_a_model_cannot_take_are_refused():
    check_tiles(256, 64, 16)
    for tile, overlap in ((250, 64), (256, 60), (256, 144), (0, 0), (64, -16)):
        with pytest.raises(UserError):
            check_tiles(tile, overlap, 16)
