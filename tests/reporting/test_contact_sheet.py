import numpy as np

from nucseg_jax.reporting.contact_sheet import contact_sheet

PICTURE = np.random.default_rng(0).integers(0, 256, (200, 180, 3), np.uint8)


def holds(sheet: np.ndarray, picture: np.ndarray) -> bool:
    """Whether the picture stands somewhere in the sheet, unchanged."""
    height, width = picture.shape[:2]
    corners = np.argwhere((sheet == picture[0, 0]).all(axis=-1))
    return any(np.array_equal(sheet[y : y + height, x : x + width], picture) for y, x in corners)


def test_long_headings_are_broken_and_hide_no_picture():
    short = contact_sheet([[PICTURE] * 2], headings=["a", "b"], captions=["c"])
    words = "a heading with many words that does not fit above one picture"
    long = contact_sheet([[PICTURE] * 2], headings=[words, "b"], captions=["c"])
    assert long.shape[1] == short.shape[1]
    assert long.shape[0] > short.shape[0] + 20
    assert holds(long, PICTURE)


def test_one_caption_a_picture_stands_below_each():
    """The right half changes by the second picture's caption alone."""
    one = contact_sheet([[PICTURE] * 2], headings=["a", "b"], captions=["left"])
    two = contact_sheet([[PICTURE] * 2], headings=["a", "b"], captions=[["left", "right"]])
    middle = one.shape[1] // 2
    assert np.array_equal(one[:, :middle], two[:, :middle])
    assert not np.array_equal(one[:, middle:], two[:, middle:])
    assert holds(two, PICTURE)
