import numpy as np
import pytest

from nucseg_jax.reporting.error_windows import boxed, worst_windows


def brute_force(wrong: np.ndarray, side: int) -> int:
    """Most wrong pixels that any window holds."""
    height, width = wrong.shape
    return max(
        wrong[top : top + side, left : left + side].sum()
        for top in range(height - side + 1)
        for left in range(width - side + 1)
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_first_window_is_the_worst_there_is_and_the_others_touch_none(seed):
    wrong = np.random.default_rng(seed).random((40, 33)) < 0.2
    windows = worst_windows(wrong, side=9, most=4, least_share=0.0)
    assert len(windows) == 4
    assert windows[0].wrong == brute_force(wrong, 9)
    covered = np.zeros(wrong.shape, int)
    for window in windows:
        part = np.s_[window.top : window.top + 9, window.left : window.left + 9]
        assert wrong[part].sum() == window.wrong
        covered[part] += 1
    assert covered.max() == 1
    assert [window.wrong for window in windows] == sorted((window.wrong for window in windows), reverse=True)


def test_little_error_gets_no_box_and_small_pictures_get_a_smaller_one():
    wrong = np.zeros((64, 64), bool)
    wrong[5, 5:9] = True
    assert worst_windows(wrong) == []
    assert worst_windows(np.zeros((64, 64), bool), least_share=0.0) == []
    # 4 of 16 pixels are the share of .25, and not less.
    assert worst_windows(wrong, side=4, least_share=0.25, most=1) == [(2, 5, 4, 4)]
    assert worst_windows(wrong, side=4, least_share=0.26) == []
    (window,) = worst_windows(np.ones((16, 20), bool), most=1)
    assert (window.top, window.left, window.side, window.wrong) == (0, 0, 16, 256)


def test_a_box_is_a_white_frame_and_nothing_else():
    picture = np.full((64, 64, 3), 90, np.uint8)
    windows = worst_windows(np.pad(np.ones((20, 20), bool), 22), side=20, most=1)
    framed = boxed(picture, windows)
    changed = (framed != picture).any(axis=-1)
    inside = np.zeros_like(changed)
    inside[22:42, 22:42] = True
    assert not changed[~inside].any()
    assert not changed[25:39, 25:39].any()
    assert (framed[22, 22:42] == 255).all()
    assert (framed[22:42, 41] == 255).all()
    assert (picture == 90).all()
