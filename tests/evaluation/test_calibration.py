import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.evaluation.calibration import (
    calibration_path,
    count_levels,
    expected_calibration_error,
    read_levels,
    reliability,
    write_levels,
)


def test_levels_are_those_of_a_loop_and_survive_the_file(tmp_path):
    rng = np.random.default_rng(0)
    level = rng.integers(0, 256, (2, 40, 30)).astype(np.uint8)
    truth = rng.random(level.shape) < level / 255
    slow = np.zeros((256, 2), np.int64)
    for pixel, is_nucleus in zip(level.ravel(), truth.ravel(), strict=True):
        slow[pixel, int(is_nucleus)] += 1
    levels = count_levels(level, truth)
    np.testing.assert_array_equal(levels, slow)
    path = calibration_path(tmp_path, "test")
    write_levels(path, levels)
    np.testing.assert_array_equal(read_levels(path), levels)


def test_a_file_of_another_kind_is_named(tmp_path):
    path = calibration_path(tmp_path, "test")
    with pytest.raises(UserError, match="cannot be read"):
        read_levels(path)
    write_levels(path, count_levels(np.arange(256, dtype=np.uint8), np.zeros(256, bool)))
    whole = path.read_text()
    for text in (
        "",
        "a,b\n1,2\n",
        whole.replace("\n7,", "\n8,"),
        whole[: len(whole) // 2],
        whole.replace("1", "-1"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match="no table of levels"):
            read_levels(path)


def test_calibration_of_pixels_whose_answer_is_known():
    level = np.arange(256)
    honest = np.stack([255 - level, level], axis=-1)
    assert expected_calibration_error(honest) == pytest.approx(0.0, abs=1e-12)
    wrong = np.zeros((256, 2), int)
    wrong[255, 0] = wrong[0, 1] = 50
    assert expected_calibration_error(wrong) == pytest.approx(1.0)
    # 3 of 4 pixels are nucleus where .2 was said; all 12 of another bin, as was said. .2 is the edge of two bins.
    one = np.zeros((256, 2), int)
    one[51] = 1, 3
    one[255, 1] = 12
    assert expected_calibration_error(one) == pytest.approx(0.25 * 0.55)
    assert reliability(one).share.tolist() == [0, 0, 0.25, 0, 0, 0, 0, 0, 0, 0.75]
    assert expected_calibration_error(np.zeros((256, 2), int)) is None
    bins = reliability(honest)
    assert bins.share.sum() == pytest.approx(1.0)
    # Level 255 alone would be an eleventh bin.
    assert len(bins.share) == 10
