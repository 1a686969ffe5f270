"""Overlays: what each colour means, pixel by pixel, and sheets that hold every picture unharmed."""

import numpy as np
import pytest
from PIL import Image

from nucseg_jax.evaluation import overlays
from nucseg_jax.evaluation.contact_sheet import contact_sheet


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    image = rng.integers(90, 200, (3, 40, 48, 3), np.uint8)
    return image, rng.random((3, 40, 48)) < 0.4, rng.random((3, 40, 48)) < 0.4


def test_errors_have_the_colours_of_figure_11(case):
    image, truth, prediction = case
    red, green, blue = np.moveaxis(overlays.error_overlay(*case).astype(int) - image, -1, 0)
    assert (blue > np.maximum(red, green))[truth & prediction].all()
    assert (red > np.maximum(green, blue))[prediction & ~truth].all()
    assert (green > np.maximum(red, blue))[truth & ~prediction].all()
    assert not np.stack([red, green, blue])[:, ~(truth | prediction)].any()


def test_tissue_stays_visible_below_the_colours(case):
    image, truth, prediction = case
    brighter = np.minimum(image.astype(int) + 50, 255).astype(np.uint8)
    difference = overlays.error_overlay(brighter, truth, prediction).astype(int) - overlays.error_overlay(
        *case
    )
    assert difference.min() >= 9


def test_overlays_leave_their_input_alone(case):
    before = [array.copy() for array in case]
    overlays.error_overlay(*case)
    assert all(np.array_equal(a, b) for a, b in zip(case, before, strict=True))


def test_overlays_work_picture_by_picture(case):
    alone = np.stack([overlays.error_overlay(*(array[k] for array in case)) for k in range(3)])
    assert np.array_equal(overlays.error_overlay(*case), alone)


def test_sheet_holds_every_patch_unchanged_and_in_order():
    image = np.random.default_rng(1).integers(0, 256, (2, 200, 200, 3), np.uint8)
    truth = np.zeros((2, 200, 200), bool)
    sheet = overlays.prediction_sheet(
        image, truth, np.zeros((2, 200, 200), np.float32), truth, ["one", "two"]
    )
    assert sheet.dtype == np.uint8
    tops = []
    for patch in image:
        corners = np.argwhere((sheet[:-199, :-199] == patch[0, 0]).all(axis=-1))
        found = [(y, x) for y, x in corners if np.array_equal(sheet[y : y + 200, x : x + 200], patch)]
        assert len(found) == 2  # The image itself, and the overlay without a nucleus to colour.
        tops.append(found[0][0])
    assert tops[0] + 200 < tops[1]


def test_small_tiles_are_magnified_by_whole_pixels():
    tile = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    sheet = contact_sheet([[tile]], headings=["image"], captions=["tile"])
    large = tile.repeat(3, axis=0).repeat(3, axis=1)
    corners = np.argwhere((sheet[:-191, :-191] == tile[0, 0]).all(axis=-1))
    assert any(np.array_equal(sheet[y : y + 192, x : x + 192], large) for y, x in corners)


def test_captions_show_the_score_of_their_own_row(monkeypatch):
    shown = {}
    monkeypatch.setattr(overlays, "contact_sheet", lambda rows, **kwargs: shown.update(kwargs))
    truth = np.zeros((3, 4, 4), bool)
    truth[0, :2] = truth[1, :2] = True
    probability = np.zeros((3, 4, 4), np.float32)
    probability[0, :1], probability[1, 1:3], probability[2] = 0.9, 0.51, 0.5
    overlays.prediction_sheet(
        np.zeros((3, 4, 4, 3), np.uint8), truth, probability, probability > 0.5, ["a", "b", "c"]
    )
    # 2 * 4 / (8 + 4), 2 * 4 / (8 + 8), and 0.5 exactly is background.
    assert shown["captions"] == ["a · Dice 0.667", "b · Dice 0.500", "c · no nucleus, none predicted"]


@pytest.mark.parametrize("captions", [[], ["one"], ["one", "two", "three"]])
def test_captions_must_fit_the_rows(captions):
    zeros = np.zeros((2, 8, 8), np.float32)
    with pytest.raises(ValueError, match=r"zip|captions"):
        overlays.prediction_sheet(np.zeros((2, 8, 8, 3), np.uint8), zeros > 0, zeros, zeros > 0, captions)


def test_a_sheet_without_rows_or_with_uneven_pictures_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        contact_sheet([], headings=["image"], captions=[])
    small, large = np.zeros((4, 4, 3), np.uint8), np.zeros((5, 5, 3), np.uint8)
    with pytest.raises(ValueError, match="shapes"):
        contact_sheet([[small, large]], headings=["a", "b"], captions=["c"])
    with pytest.raises(ValueError, match="headings"):
        contact_sheet([[small]], headings=["a", "b"], captions=["c"])


def test_png_round_trip(tmp_path):
    picture = np.random.default_rng(3).integers(0, 256, (7, 5, 3), np.uint8)
    path = tmp_path / "new" / "picture.png"
    overlays.save_png(path, picture)
    with Image.open(path) as read:
        assert np.array_equal(np.asarray(read), picture)
    assert [p.name for p in path.parent.iterdir()] == ["picture.png"]


def test_pixels_that_nobody_annotated_are_grey_in_truth_and_errors_and_the_others_as_without_them():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2, 176, 176, 3), dtype=np.uint8)
    void = np.zeros((2, 176, 176), bool)
    void[0, :, :90] = True
    truth, prediction = (~void & (rng.random(void.shape) < 0.5) for _ in range(2))
    shaded = overlays.shaded(image, void)
    np.testing.assert_array_equal(shaded[~void], image[~void])
    assert np.abs(shaded[void].astype(int) - 128).max() <= np.ceil(0.4 * 128)
    of_sheet = [
        overlays.prediction_sheet(image, truth, truth * 1.0, prediction, ["a", "b"], void=each)
        for each in (void, None, void & False)
    ]
    np.testing.assert_array_equal(of_sheet[1], of_sheet[2])
    # Truth and errors of the first patch, and the legend below.
    changed = np.argwhere((of_sheet[0] != of_sheet[1]).any(axis=-1))
    picture = changed[changed[:, 0] < 300]
    assert set(np.unique((picture[:, 1] - 20) // (176 + 8))) == {1, 3}
    assert len(picture) == pytest.approx(2 * void.sum(), rel=0.05)
